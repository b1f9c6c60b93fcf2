"""The parts of ``script/demo``: the stage, the servers on it, a client that watches, the knocks, and the words."""
