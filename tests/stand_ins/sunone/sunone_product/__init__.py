"""What the stand-in's copied interpreters run: watchdog, primordial, worker. Standard library only."""
