"""Web servers, one file each; a module's ``AGENT`` is its class. Adding a server touches no list."""
