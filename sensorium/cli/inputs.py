"""`name=value` on the command line, as values of a graph's inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sensorium.admit import Admission
from sensorium.errors import CallerError
from sensorium.parts import Value
from sensorium.spec.nearest import closest
from sensorium.spec.ports import PortType
from sensorium.store import Store

__all__ = ["read_inputs"]


def read_inputs(ports: Mapping[str, PortType], pairs: Sequence[str], store: Store) -> dict[str, Value]:
    """A value for each name that is given; a name given several times is a list.

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
    admission = Admission(store)
    return {name: admission.admit_text(given, ports[name], name=name) for name, given in texts.items()}


def _listed(ports: Mapping[str, PortType]) -> str:
    return ", ".join(f"{name}: {kind}" for name, kind in ports.items()) or "(none)"


def _example(ports: Mapping[str, PortType]) -> str:
    for name, kind in ports.items():
        return f"{name}=@FILE" if kind.kind in ("image", "audio", "masks", "latent") else f"{name}=TEXT"
    return "nothing: the graph has no inputs"
