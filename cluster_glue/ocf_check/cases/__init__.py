"""The cases, one small function each; :func:`cluster_glue.ocf_check.registry.every_case` finds them by looking."""
