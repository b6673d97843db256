"""Checkpoints: weights as content, from whichever place has the right bytes."""

from sensorium.checkpoint.checkpoints import Checkpoints, CheckpointState, Needs
from sensorium.checkpoint.pull import PullProgress

__all__ = ["CheckpointState", "Checkpoints", "Needs", "PullProgress"]
