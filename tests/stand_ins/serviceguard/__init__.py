"""Stand-ins for Serviceguard; see ../README.rst."""
