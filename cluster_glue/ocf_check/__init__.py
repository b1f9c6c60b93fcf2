"""A conformance kit for OCF resource agents: what ``ocf-tester`` leaves out, for any agent.

Each case runs in its own PID, mount, network and IPC namespaces: it may break configuration, kill servers and plant
stale pid files, and nothing of it reaches the machine or outlives the run.

Adding a case: write a function in a module under ``cases`` and mark it with :func:`registry.case`; no list is touched.
"""
