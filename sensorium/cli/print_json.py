"""JSON on standard output."""

from __future__ import annotations

import json

import typer

__all__ = ["print_json"]


def print_json(value: object) -> None:
    """One JSON value, readable, followed by a line break."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))
