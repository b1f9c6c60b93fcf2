"""The lab: several machines with a real cluster, on which failover is rehearsed."""
