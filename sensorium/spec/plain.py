"""Plain data: what YAML and JSON can say. The checks tell type checkers that nothing is known about what is inside."""

from __future__ import annotations

from typing import Any, TypeGuard

__all__ = ["is_list", "is_mapping", "is_tuple"]


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Whether a value is a list."""
    return isinstance(value, list)


def is_mapping(value: object) -> TypeGuard[dict[str, Any]]:
    """Whether a value is a mapping. Its keys are text in whatever was read from a file."""
    return isinstance(value, dict)


def is_tuple(value: object) -> TypeGuard[tuple[Any, ...]]:
    """Whether a value is a tuple, which Python's authors write where a file has a list."""
    return isinstance(value, tuple)
