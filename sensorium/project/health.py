"""What is there and what is missing, for `sensorium doctor`."""

from __future__ import annotations

import platform
import shutil
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import sensorium
from sensorium.errors import SensoriumError
from sensorium.project.profiles import choose_device
from sensorium.project.project import Project
from sensorium.project.weights import users, wanted_by_profile

__all__ = ["Finding", "examine"]

_GIB = 1 << 30
_LOW_DISK_BYTES = 2 * _GIB


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    state: Literal["good", "missing"]
    says: str
    """What was found; for what is missing, also the command that mends it."""


def examine(project: Project) -> list[Finding]:
    """Everything that a run with the project's profile would want."""
    return [
        Finding("sensorium", "good", f"{sensorium.__version__}, Python {platform.python_version()}, {sys.platform}"),
        _home(project),
        _database(project),
        *_faults(project),
        Finding("profile", "good", f"{project.profile_name}, device auto is {choose_device('auto')}"),
        *_checkpoints(project),
        *_environments(project),
    ]


def _home(project: Project) -> Finding:
    try:
        home = project.home
    except SensoriumError as error:
        return Finding("home", "missing", str(error))
    free = shutil.disk_usage(home).free
    says = f"{home}, {free / _GIB:.1f} GiB free"
    if free > _LOW_DISK_BYTES:
        return Finding("home", "good", says)
    right = f"free {_LOW_DISK_BYTES / _GIB:.0f} GiB, or set SENSORIUM_HOME to a folder on a larger disk"
    return Finding("home", "missing", f"{says}; {right}")


def _database(project: Project) -> Finding:
    try:
        with closing(project.database) as database:
            database.execute("SELECT 1")
            return Finding("database", "good", f"{database.place} answers")
    except SensoriumError as error:
        return Finding("database", "missing", str(error))


def _faults(project: Project) -> list[Finding]:
    if not project.faults:
        catalogue = project.catalogue
        names = [name for entries in (catalogue.tools, catalogue.agents, catalogue.graphs) for name in entries]
        count = sum(not name.startswith("box/") for name in names)
        return [Finding("files", "good", f"{count} tools, agents and graphs, no faults")]
    return [Finding("files", "missing", str(fault)) for fault in project.faults]


def _checkpoints(project: Project) -> list[Finding]:
    used_by = users(project)
    return [_checkpoint(project, name, used_by[name]) for name in sorted(wanted_by_profile(project).checkpoints)]


def _checkpoint(project: Project, name: str, users: list[str]) -> Finding:
    used_by = f"used by {', '.join(users)}"
    try:
        project.checkpoints.directory(name)
    except SensoriumError as error:
        return Finding(f"checkpoint {name}", "missing", f"{error} ({used_by})")
    return Finding(f"checkpoint {name}", "good", used_by)


def _environments(project: Project) -> list[Finding]:
    return [_environment(project, requirements) for requirements in wanted_by_profile(project).environments]


def _environment(project: Project, requirements: Path) -> Finding:
    what = f"environment of {requirements.parent.name}"
    try:
        return Finding(what, "good", str(project.environments.python(requirements)))
    except SensoriumError as error:
        return Finding(what, "missing", str(error))
