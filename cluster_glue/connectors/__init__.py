"""One file per clusterware: what we answer when asked, what we say when we ask."""
