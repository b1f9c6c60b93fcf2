"""How patient recovery is, as the machine knows it; declared where OCF executables can check it without the daemon."""

from __future__ import annotations

from resource_agents.policy import GRACE, Policy, PolicyError

__all__ = ["GRACE", "Policy", "PolicyError"]
