"""One file per clusterware: what we answer when asked, what we say when we ask.

A connector is a module here that says ``CONNECTOR = ...``, an object of
:class:`~cluster_glue.connectors.clusterware.Clusterware`: tables and pure functions. Nothing else needs to name it.
What runs its command lines is :mod:`cluster_glue.connectors.runner`.
"""
