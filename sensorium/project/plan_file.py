"""Plans of agents, kept as graph files."""

from __future__ import annotations

import os
from pathlib import Path

from sensorium.errors import AuthorError, CallerError, OperatorError
from sensorium.spec.ports import NAME
from sensorium.spec.read import parse_graph
from sensorium.spec.write import to_yaml

__all__ = ["require_new", "save_plan"]


def require_new(path: Path) -> None:
    """Nothing, where a plan can be kept there; asked before a run whose plan is to be kept.

    Raises:
        CallerError: As `save_plan`; or there is no such folder.
    """
    if path.suffix not in (".yaml", ".yml"):
        raise CallerError(f"{path} is no name of a graph file; call it {path.with_suffix('.yaml').name}")
    if not NAME.fullmatch(path.stem):
        raise CallerError(f"{path.stem!r} can be no graph's name; begin with a letter, then letters, digits, _, -")
    if os.path.lexists(path):
        raise CallerError(f"{path} is there already; give another name, or remove it")
    if not path.absolute().parent.is_dir():
        raise CallerError(f"{path.parent} is no folder; make it, or give another")


def save_plan(plan: str, path: Path) -> None:
    """Writes a plan as a graph of the file's name, which runs without the agent.

    Args:
        plan: The text of a graph file, as in `Result.plans`.
        path: A file that is not there yet, `NAME.yaml`.

    Raises:
        CallerError: The file is there, or its name can be no graph's.
        OperatorError: It cannot be written.
    """
    if path.suffix not in (".yaml", ".yml"):
        raise CallerError(f"{path} is no name of a graph file; call it {path.with_suffix('.yaml').name}")
    spec = parse_graph(plan).spec
    try:
        text = to_yaml(spec.model_validate({**spec.model_dump(by_alias=True), "name": path.stem}))
    except (ValueError, AuthorError) as error:
        raise CallerError(
            f"{path.stem!r} can be no graph's name; begin with a letter, then letters, digits, _, -"
        ) from error
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise CallerError(f"{path} is there already; give another name, or remove it") from error
    except OSError as error:
        raise OperatorError(f"{path} cannot be written: {error.strerror or error}") from error
