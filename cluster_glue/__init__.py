"""Recovery on this machine, and one clean hand-over to the clusterware when that cannot work."""
