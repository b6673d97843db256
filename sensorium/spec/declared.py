"""What every declared file has in common."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from sensorium.spec.ports import NAME, PortType

__all__ = ["CalleeName", "CheckpointName", "Declared", "FlagName", "Name", "PortName", "TypeText"]

_CHECKPOINT_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*")

_FLAG_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*(\.[a-z0-9_]+)*")
_OWN_FLAGS = ("api-key", "host", "model", "port", "served-model-name", "uds")


def _name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise ValueError(f"{text!r} is not a name; a name begins with a letter and has letters, digits, _ and -")
    return text


def _checkpoint_name(text: str) -> str:
    if len(text) > 64 or not _CHECKPOINT_NAME.fullmatch(text):
        raise ValueError(
            f"{text!r} is not a checkpoint's name; "
            "it begins with a letter and has letters, digits, _, - and single dots"
        )
    return text


def _flag_name(text: str) -> str:
    if not _FLAG_NAME.fullmatch(text):
        raise ValueError(
            f"{text!r} is not an option of a server; write it as in max-num-seqs, without dashes before it"
        )
    if text in _OWN_FLAGS:
        raise ValueError(f"{text!r} is decided by whoever starts the server; remove it")
    return text


def _callee_name(text: str) -> str:
    return f"box/{_name(text[4:])}" if text.startswith("box/") else _name(text)


def _port_name(text: str) -> str:
    if not NAME.fullmatch(text) or "-" in text:
        raise ValueError(f"{text!r} is not a port name; it begins with a letter and has letters, digits and _")
    return text


def _type(text: str) -> str:
    PortType.parse(text)
    return text


Name = Annotated[str, AfterValidator(_name)]
CalleeName = Annotated[str, AfterValidator(_callee_name)]
"""A tool, agent or graph by name; `box/NAME` is the box's where the project could shadow it."""
CheckpointName = Annotated[str, AfterValidator(_checkpoint_name)]
FlagName = Annotated[str, AfterValidator(_flag_name)]
"""An option of a server, without the dashes before it."""
PortName = Annotated[str, AfterValidator(_port_name)]
TypeText = Annotated[str, AfterValidator(_type), Field(description="A port type, such as text, [image], number?")]


class Declared(BaseModel):
    """A piece of a file. Unknown keys are faults; nothing can be changed once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True)
