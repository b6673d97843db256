"""The result of a run, for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import typer

from sensorium import errors
from sensorium.cli.pictures import can_show_pictures, show_picture
from sensorium.errors import OperatorError, SensoriumError
from sensorium.graph import ErrorReport, Result
from sensorium.parts import Image, Part, Value

__all__ = ["exit_code", "print_result", "told_as_json"]

_BY_KIND = {
    kind.kind: kind.exit_code
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, SensoriumError)
}
_BY_STATUS = {"done": 0, "refused": 3, "paused": 6, "cancelled": 130}


def exit_code(result: Result) -> int:
    """What the command line exits with after this result."""
    if result.status in _BY_STATUS:
        return _BY_STATUS[result.status]
    return _BY_KIND.get(result.error.kind, 1) if result.error is not None else 1


_NO_FILES: Mapping[str, tuple[str, ...]] = {}


def told_as_json(
    result: Result, folder: Path, files: Mapping[str, tuple[str, ...]] = _NO_FILES
) -> tuple[dict[str, Any], int]:
    """The result as one JSON object, its media written below `folder`, and the exit code.

    Where they cannot be written the run counts as failed, and its media are named where they lie in the store. `files`
    are, for list outputs, those that the elements are about.
    """
    try:
        told = result.to_json(folder)
        for port, about in files.items():
            if told["outputs"][port] is not None:
                told["outputs"][port]["files"] = list(about)
        return told, exit_code(result)
    except OperatorError as error:
        error_report = ErrorReport(error.kind, str(error), "")
        typer.echo(f"sensorium: {error}", err=True)
        return replace(result, status="failed", error=error_report).to_json(), error.exit_code


def print_result(result: Result, folder: Path, files: Mapping[str, tuple[str, ...]] = _NO_FILES) -> None:
    """Every output by name: words as they are, media as the paths of files written below `folder`.

    Of a run that failed, only what there is. `files` are, for list outputs, those that the elements are about.
    """
    saved = result.save(folder)
    for name, value in result.outputs.items():
        if value is not None or result.error is None:
            _print_output(name, value, saved.get(name, []), files.get(name, ()))
    if result.error is not None:
        typer.echo(f"sensorium: {result.error.node or result.graph}: {result.error.message}", err=True)


def _print_output(name: str, value: Value, paths: list[Path], files: tuple[str, ...]) -> None:
    if value is None:
        typer.echo(f"{name}: (none)")
        return
    if paths:
        typer.echo(f"{name}: {'  '.join(str(path) for path in paths)}")
        if isinstance(value, Image) and can_show_pictures():
            show_picture(value.open())
        return
    if isinstance(value, tuple):
        typer.echo(f"{name}:")
        for index, item in enumerate(value):
            file = files[index] if files else ""
            typer.echo(f"  {file}: {_words(item)}" if file else f"  {_words(item)}")
        return
    typer.echo(f"{name}: {_words(value)}")


def _words(part: Part | None) -> str:
    return "(none)" if part is None else str(part)
