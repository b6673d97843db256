"""The one door: finds, validates and loads a project and the box."""

from sensorium.project.health import examine
from sensorium.project.project import Project, load

__all__ = ["Project", "examine", "load"]
