"""Stand-ins for products that could not be had; see README.rst."""
