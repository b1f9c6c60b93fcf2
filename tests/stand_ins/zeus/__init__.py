"""Stand-in for Zeus Web Server; see ../README.rst: nearly everything about it is an assumption."""
