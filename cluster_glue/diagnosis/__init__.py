"""Why: evidence, kept within bounds, and rules that turn it into at most one named cause."""
