"""Stand-ins for CLUSTERPRO; see ../README.rst."""
