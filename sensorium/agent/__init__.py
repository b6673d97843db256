"""A role at work: which tool is called next, with what, and what is said in the end. Stores nothing."""

from __future__ import annotations

from sensorium.agent.agent import Agent
from sensorium.agent.script import Script
from sensorium.agent.toolbox import Card, Toolbox

__all__ = ["Agent", "Card", "Script", "Toolbox"]
