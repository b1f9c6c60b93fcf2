"""The contract of the Open Cluster Framework, in plain Python.

Standard library only: cluster managers run this code hundreds of times an hour, and every import is paid each time.
Source of the facts: OCF resource agent API 1.1 (ClusterLabs/OCF-spec, ra/1.1/resource-agent-api.md).
"""
