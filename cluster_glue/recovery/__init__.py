"""The local recovery layer: a pure machine that decides, and an engine that carries out."""
