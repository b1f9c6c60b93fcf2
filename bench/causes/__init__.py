"""The matrix of causes: faults injected into real servers, and what koboshi says of each."""
