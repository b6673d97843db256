"""Profiles with what they extend, and what they decide about tools and models."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from sensorium.errors import AuthorError, CallerError
from sensorium.spec.nearest import closest
from sensorium.spec.projectfile import Limits, Profile, ToolSetting
from sensorium.spec.tool import ToolSpec

__all__ = ["choose_device", "resolve_profile", "role_checkpoints"]


def resolve_profile(name: str, profiles: Mapping[str, Profile]) -> Profile:
    """The profile with everything that it extends folded in; what it says itself wins.

    Raises:
        CallerError: There is no such profile.
        AuthorError: A profile extends one that is not there, or itself.
    """
    if name not in profiles:
        near = closest(name, profiles)
        hint = f"did you mean {near}? " if near else ""
        raise CallerError(f"profile {name!r} is unknown; {hint}profiles here: {', '.join(sorted(profiles))}")
    chain: list[str] = []
    cursor: str | None = name
    while cursor is not None:
        if cursor in chain:
            raise AuthorError(f"profile {name!r} extends itself by {' -> '.join([*chain, cursor])}")
        if cursor not in profiles:
            raise AuthorError(f"profile {chain[-1]!r} extends {cursor!r}, which is not there")
        chain.append(cursor)
        cursor = profiles[cursor].extends
    folded = Profile()
    for link in reversed(chain):
        folded = _fold(folded, profiles[link])
    return folded


def _fold(base: Profile, top: Profile) -> Profile:
    limits = {**base.limits.model_dump(exclude_none=True), **top.limits.model_dump(exclude_none=True)}
    return Profile(
        models={**base.models, **top.models},
        tools={**base.tools, **top.tools},
        limits=Limits(**limits),
        database=top.database or base.database,
        allow=[*base.allow, *(name for name in top.allow if name not in base.allow)],
    )


def role_checkpoints(tool: ToolSpec, setting: ToolSetting) -> dict[str, str]:
    """The checkpoint's name for each role of a tool.

    Raises:
        AuthorError: The profile names one checkpoint for a tool with several roles, or an unknown role.
    """
    roles = dict(tool.checkpoints)
    if isinstance(setting.checkpoint, str):
        if len(roles) != 1:
            raise AuthorError(
                f"the profile gives tool {tool.name!r} the checkpoint {setting.checkpoint!r}, but the tool has "
                f"{len(roles)} roles; write checkpoint: {{ROLE: NAME}} with roles {', '.join(roles) or '(none)'}"
            )
        return dict.fromkeys(roles, setting.checkpoint)
    given = setting.checkpoint or {}
    unknown = sorted(set(given) - set(roles))
    if unknown:
        raise AuthorError(
            f"the profile names role {unknown[0]!r} of tool {tool.name!r}; its roles: {', '.join(roles) or '(none)'}"
        )
    return {**roles, **given}


def choose_device(wanted: str) -> str:
    """`auto` becomes `cuda:0` where an NVIDIA driver and a visible GPU are there, else `cpu`."""
    if wanted != "auto":
        return "cuda:0" if wanted == "cuda" else wanted
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    has_gpu = Path("/proc/driver/nvidia/version").exists() and visible not in ("", "-1")
    return "cuda:0" if has_gpu else "cpu"
