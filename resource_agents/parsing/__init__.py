"""Readers of the servers' own configuration files, one module per format; they run nothing."""
