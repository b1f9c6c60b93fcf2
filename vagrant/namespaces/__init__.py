"""The lab's machines as sets of Linux namespaces: seconds to make, nothing left behind."""
