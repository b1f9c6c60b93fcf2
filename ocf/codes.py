"""OCF exit codes, by OCF's own names.

Plain integers on purpose: ``enum`` costs milliseconds that a monitor action does not have.
Source: OCF resource agent API 1.1; 190 and 191 as Pacemaker 2.1 takes them.
"""

OCF_SUCCESS = 0
OCF_ERR_GENERIC = 1
OCF_ERR_ARGS = 2
OCF_ERR_UNIMPLEMENTED = 3
OCF_ERR_PERM = 4
OCF_ERR_INSTALLED = 5
OCF_ERR_CONFIGURED = 6
OCF_NOT_RUNNING = 7
OCF_DEGRADED = 190

NAMES = {value: name for name, value in list(globals().items()) if name.startswith("OCF_")}
