"""Sensors: what happened. Facts from the kernel first, polling last."""
