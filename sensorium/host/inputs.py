"""Whether inputs fit a tool's ports, before any process is asked."""

from __future__ import annotations

from collections.abc import Mapping

from sensorium.errors import CallerError
from sensorium.parts import Latent, Part, Value
from sensorium.spec.ports import PortType
from sensorium.spec.tool import ToolSpec

__all__ = ["check_inputs"]


def check_inputs(spec: ToolSpec, inputs: Mapping[str, Value]) -> dict[str, Value]:
    """A value for each input port, None where an optional port holds nothing.

    Raises:
        CallerError: A port is unknown, or missing, or holds something else than it takes.
    """
    ports = spec.signature.inputs
    for port in inputs:
        if port not in ports:
            raise CallerError(f"tool {spec.name} has no input {port!r}; its inputs are {', '.join(ports)}")
    return {port: _checked(spec.name, port, kind, inputs.get(port)) for port, kind in ports.items()}


def _checked(tool: str, port: str, kind: PortType, value: Value) -> Value:
    if value is None:
        if kind.is_optional:
            return None
        raise CallerError(f"input {port} of tool {tool} is missing; it takes {kind}")
    if isinstance(value, tuple) != kind.is_list:
        found = "a list" if isinstance(value, tuple) else f"one {value.kind}"
        raise CallerError(f"input {port} of tool {tool} is {found}; it takes {kind}")
    for part in value if isinstance(value, tuple) else (value,):
        if part is not None and not _fits(part, kind):
            raise CallerError(f"input {port} of tool {tool} holds {_name(part)}; it takes {kind}")
    return value


def _fits(part: Part, kind: PortType) -> bool:
    return part.kind == kind.kind and (not isinstance(part, Latent) or part.space == kind.space)


def _name(part: Part) -> str:
    return f"latent({part.space})" if isinstance(part, Latent) else part.kind
