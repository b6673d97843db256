"""Which checkpoints a project uses, and what a person means who asks for some of them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sensorium.errors import CallerError
from sensorium.model import VLLM_REQUIREMENTS
from sensorium.project.profiles import resolve_profile, role_checkpoints
from sensorium.project.project import Project
from sensorium.project.served import is_attached, model_requirements
from sensorium.spec.nearest import meant
from sensorium.spec.projectfile import ModelSetting

__all__ = ["Wanted", "users", "wanted_by_name", "wanted_by_profile"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be brought here."""

    checkpoints: tuple[str, ...]
    """By name, each after those that it is made from."""
    environments: tuple[Path, ...]
    """Requirements files of tools that run in environments of their own."""

    def joined(self, other: Wanted) -> Wanted:
        """Both, everything once."""
        return _join([self, other])


def wanted_by_profile(project: Project) -> Wanted:
    """Everything that a run with the project's profile may want."""
    models = [_by_model(project, setting) for setting in project.profile.models.values()]
    tools = [name for name in project.catalogue.tools if not name.startswith("box/")]
    return _join([*models, *(_by_tool(project, name) for name in tools)])


def wanted_by_name(project: Project, names: Iterable[str]) -> Wanted:
    """Checkpoints by name; the name of a tool means its checkpoints and its environment, `vllm` that of its server.

    Raises:
        CallerError: There is neither a checkpoint nor a tool of that name.
    """
    return _join([_by_name(project, name) for name in names])


def _by_name(project: Project, name: str) -> Wanted:
    found: list[Wanted] = []
    if name in project.manifests:
        found.append(_wanted(project, [name], []))
    if name in project.catalogue.tools:
        found.append(_by_tool(project, name))
    if name == VLLM_REQUIREMENTS.parent.name:
        found.append(Wanted((), (VLLM_REQUIREMENTS,)))
    if not found:
        hint = meant(name, [*project.manifests, *project.catalogue.tools])
        raise CallerError(f"there is no checkpoint or tool {name!r}; {hint}")
    return _join(found)


def _by_model(project: Project, setting: ModelSetting) -> Wanted:
    if setting.checkpoint is None or is_attached(setting, os.environ):
        return Wanted((), ())
    requirements = model_requirements(setting)
    return _wanted(project, [setting.checkpoint], [] if requirements is None else [requirements])


def _by_tool(project: Project, name: str) -> Wanted:
    tool = project.catalogue.tools[name]
    setting = project.tool_setting(tool.spec.name)
    named = setting.environment or tool.spec.environment
    requirements = [tool.folder / named] if named is not None and (tool.folder / named).is_file() else []
    return _wanted(project, role_checkpoints(tool.spec, setting).values(), requirements)


def _wanted(project: Project, names: Iterable[str], environments: Iterable[Path]) -> Wanted:
    links = [link for name in names for link in project.checkpoints.lineage(name)]
    return _join([Wanted(tuple(links), tuple(environments))])


def _join(parts: Iterable[Wanted]) -> Wanted:
    every = list(parts)
    return Wanted(
        tuple(dict.fromkeys(name for part in every for name in part.checkpoints)),
        tuple(dict.fromkeys(path for part in every for path in part.environments)),
    )


def users(project: Project) -> dict[str, list[str]]:
    """Who uses each checkpoint: tools as the profile sets them, models of every profile, and checkpoints made of it."""
    found: dict[str, list[str]] = {name: [] for name in project.manifests}
    for name, tool in project.catalogue.tools.items():
        if not name.startswith("box/"):
            for checkpoint in role_checkpoints(tool.spec, project.tool_setting(name)).values():
                found.setdefault(checkpoint, []).append(name)
    for profile in project.profiles:
        for role, setting in resolve_profile(profile, project.profiles).models.items():
            if setting.checkpoint is not None:
                found.setdefault(setting.checkpoint, []).append(f"{role} ({profile})")
    for name, manifest in project.manifests.items():
        if manifest.of is not None:
            found.setdefault(manifest.of, []).append(name)
    return found
