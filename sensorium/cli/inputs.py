"""`name=value` on the command line, as values of a graph's inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import typer

from sensorium.admit import Admission
from sensorium.errors import CallerError
from sensorium.parts import Value
from sensorium.spec.checked import Checked
from sensorium.spec.nearest import closest
from sensorium.spec.ports import PortType
from sensorium.spec.wires import InputWire, NodeWire, Wire
from sensorium.store import Store

__all__ = ["Given", "origins", "read_given", "read_inputs"]


class Given(NamedTuple):
    """What the command line gave a graph."""

    inputs: dict[str, Value]
    """A value for each name."""
    files: dict[str, tuple[str, ...]]
    """For each list: the file of each element, empty for one that came from none."""


def read_inputs(ports: Mapping[str, PortType], pairs: Sequence[str], store: Store) -> dict[str, Value]:
    """A value for each name that is given; a name given several times is a list.

    Raises:
        CallerError: As `read_given`.
    """
    return read_given(ports, pairs, store).inputs


def read_given(ports: Mapping[str, PortType], pairs: Sequence[str], store: Store) -> Given:
    """What is given for each name; a name given several times is a list. Says which files of a folder are left aside.

    Raises:
        CallerError: A pair has no `=`, a name is unknown, a value is none of its type.
    """
    texts: dict[str, list[str]] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise CallerError(f"{pair!r} is not name=value; write {_example(ports)}")
        if name not in ports:
            near = closest(name, ports)
            hint = f"did you mean {near}? " if near else ""
            raise CallerError(f"there is no input {name!r}; {hint}inputs: {_listed(ports)}")
        texts.setdefault(name, []).append(text)
    admission = Admission(store, _say_left)
    inputs = {name: admission.admit_text(given, ports[name], name=name) for name, given in texts.items()}
    return Given(inputs, admission.files)


def origins(graph: Checked, files: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """For each list output with one element for each of a list of files: those files."""
    wires = {port: feed.wire for port, feed in graph.outputs.items()}
    sources = {port: _list_behind(graph, wire) for port, wire in wires.items()}
    return {port: files[source.port] for port, source in sources.items() if source and source.port in files}


def _list_behind(graph: Checked, wire: Wire) -> InputWire | None:
    """The list input that has an element for each that the wire brings."""
    if isinstance(wire, InputWire):
        return wire
    each = graph.nodes[wire.node].each if isinstance(wire, NodeWire) else None
    return _list_behind(graph, each.wire) if each is not None else None


def _say_left(path: Path, why: str) -> None:
    typer.echo(f"left aside: {path} {why}", err=True)


def _listed(ports: Mapping[str, PortType]) -> str:
    return ", ".join(f"{name}: {kind}" for name, kind in ports.items()) or "(none)"


def _example(ports: Mapping[str, PortType]) -> str:
    for name, kind in ports.items():
        return f"{name}=@FILE" if kind.kind in ("image", "audio", "masks", "latent") else f"{name}=TEXT"
    return "nothing: the graph has no inputs"
