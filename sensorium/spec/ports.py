"""The types of ports, as they are written in files: `text`, `"[image]"`, `"number?"`, `"latent(see.patches)?"`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sensorium.spec.nearest import closest

__all__ = ["CONTEXT", "IDEMPOTENCY_KEY", "KINDS", "NAME", "PortType", "Signature"]

KINDS = (
    "text", "image", "audio", "masks", "boxes", "points", "segments", "number", "flag", "data", "latent",
)  # fmt: skip
"""Kinds of part that a port may take."""

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
"""What a node, tool, agent or graph may be called. Ports are the same without the hyphen."""

CONTEXT = "lm.context"
"""Space of what a language model holds once it has read, and thought. It goes to its reader by one of the rungs."""

IDEMPOTENCY_KEY = "idempotency_key"
"""Under which a tool with effects finds, beside its inputs, what it knows a call again by."""

_TYPE = re.compile(r"(?P<open>\[)?(?P<kind>[a-z]+)(?:\((?P<space>[A-Za-z0-9_.\[\]-]+)\))?(?(open)\])(?P<optional>\?)?")


@dataclass(frozen=True, slots=True)
class PortType:
    """What a port takes or gives."""

    kind: str
    """One of `KINDS`."""
    is_list: bool = False
    """Whether the port holds several parts of the kind, in order."""
    is_optional: bool = False
    """Whether the port may hold nothing."""
    space: str | None = None
    """Name of the latent's space; None for every other kind."""

    @classmethod
    def parse(cls, text: str) -> PortType:
        """The type that `text` writes.

        Raises:
            ValueError: It writes none; the message says what would be right.
        """
        match = _TYPE.fullmatch(text.strip())
        if match is None or match["kind"] not in KINDS:
            near = closest(text.strip("[]? "), KINDS)
            raise ValueError(
                f"{text!r} is not a port type; {f'did you mean {near!r}? ' if near else ''}a type is one of "
                f'{", ".join(KINDS[:-1])}, latent(SPACE), in a list as "[image]", optional as "number?"'
            )
        if (match["kind"] == "latent") != (match["space"] is not None):
            found = "names no space" if match["kind"] == "latent" else "names a space"
            raise ValueError(f"{text!r} {found}; a latent does, as in latent(see.patches), and nothing else")
        return cls(match["kind"], bool(match["open"]), bool(match["optional"]), match["space"])

    def __str__(self) -> str:
        inner = f"{self.kind}({self.space})" if self.space else self.kind
        return (f"[{inner}]" if self.is_list else inner) + ("?" if self.is_optional else "")

    @property
    def item(self) -> PortType:
        """The type of one element of a list."""
        return PortType(self.kind, space=self.space)

    def as_list(self) -> PortType:
        """A list of this."""
        return PortType(self.kind, is_list=True, space=self.space)

    def as_optional(self) -> PortType:
        """The same, or nothing."""
        return PortType(self.kind, self.is_list, True, self.space)

    def as_required(self) -> PortType:
        """The same, and never nothing."""
        return PortType(self.kind, self.is_list, False, self.space)

    def can_feed(self, taker: PortType) -> bool:
        """Whether a value of this type may go into a port of type `taker`.

        Whether an optional value may go into a port that requires one is for the wire to say: such a node is skipped
        when the value is missing.
        """
        return (self.kind, self.is_list, self.space) == (taker.kind, taker.is_list, taker.space)


@dataclass(frozen=True, slots=True)
class Signature:
    """What goes into a tool, agent or graph, and what comes out."""

    inputs: Mapping[str, PortType]
    outputs: Mapping[str, PortType]
