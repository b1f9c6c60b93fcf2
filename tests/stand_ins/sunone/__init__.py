"""Stand-in for Sun ONE / iPlanet Web Server; see ../README.rst."""
