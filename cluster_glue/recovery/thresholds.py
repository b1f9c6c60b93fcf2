"""How full is too full, as the sensors know it; declared where OCF executables can check it without the daemon."""

from __future__ import annotations

from resource_agents.thresholds import ThresholdError, Thresholds

__all__ = ["ThresholdError", "Thresholds"]
