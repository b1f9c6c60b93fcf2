"""What the lab is for, whatever its machines are: the client, the cluster's own view, scenarios, the command."""
