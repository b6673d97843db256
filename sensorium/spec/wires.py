"""Wires, as they are written in a graph file, and conditions over what comes through them.

A wire is a whole piece of text: `$input`, `$node.port`, `$item` (the name that `as` gives), `$self.port` (the last
round's own outputs). Text that begins with `$$` is text that begins with one `$`.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, TypeGuard, cast

from sensorium.parts import Data, Flag, Number, Text, Value
from sensorium.spec.plain import is_list, is_mapping

__all__ = [
    "Condition",
    "InputWire",
    "ItemWire",
    "NodeWire",
    "Operator",
    "SelfWire",
    "Wire",
    "holds",
    "is_wire",
    "parse_condition",
    "parse_wire",
    "unescape",
]


@dataclass(frozen=True, slots=True)
class InputWire:
    """`$port`: an input of the graph."""

    port: str

    def __str__(self) -> str:
        return f"${self.port}"


@dataclass(frozen=True, slots=True)
class NodeWire:
    """`$node.port`: an output of a node."""

    node: str
    port: str

    def __str__(self) -> str:
        return f"${self.node}.{self.port}"


@dataclass(frozen=True, slots=True)
class ItemWire:
    """`$item`: the element that an `each` is at."""

    name: str

    def __str__(self) -> str:
        return f"${self.name}"


@dataclass(frozen=True, slots=True)
class SelfWire:
    """`$self.port`: an output of the node's own last round."""

    port: str

    def __str__(self) -> str:
        return f"$self.{self.port}"


Wire: TypeAlias = InputWire | NodeWire | ItemWire | SelfWire

Operator = Literal["is", "not", "==", "!=", "<", "<=", ">", ">="]


@dataclass(frozen=True, slots=True)
class Condition:
    """What `when` and `until` ask."""

    wire: Wire
    operator: Operator
    """`is` and `not` ask a flag; the others compare with `literal`."""
    literal: str | float | bool | None = None

    def __str__(self) -> str:
        if self.operator == "is":
            return str(self.wire)
        if self.operator == "not":
            return f"not {self.wire}"
        return f"{self.wire} {self.operator} {_written(self.literal)}"


_NODE = r"[A-Za-z][A-Za-z0-9_-]{0,63}"
_PORT = r"[A-Za-z][A-Za-z0-9_]{0,63}"
_WIRE = re.compile(rf"\$(?:(?P<node>{_NODE})\.)?(?P<port>{_PORT})")
_CONDITION = re.compile(r"(?:(?P<no>not)\s+)?(?P<wire>\$[^\s=!<>]*)\s*(?:(?P<op>==|!=|<=|>=|<|>)\s*(?P<right>.*))?")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: Final[dict[str, bool | None]] = {"true": True, "false": False, "null": None}


def is_wire(value: object) -> bool:
    """Whether a value in a file is meant as a wire."""
    return isinstance(value, str) and value.startswith("$") and not value.startswith("$$")


def unescape(value: Any) -> Any:
    """A literal as it is meant: every text in it that begins with `$$` begins with one `$`."""
    if isinstance(value, str):
        return value[1:] if value.startswith("$$") else value
    if is_list(value):
        return [unescape(item) for item in value]
    if is_mapping(value):
        return {key: unescape(item) for key, item in value.items()}
    return value


def parse_wire(text: str, *, item: str | None = None) -> Wire:
    """The wire that `text` writes; `item` is the name that `as` gives where the wire stands.

    Raises:
        ValueError: It writes none; the message says what would be right.
    """
    match = _WIRE.fullmatch(text)
    if match is None:
        raise ValueError(f"{_short(text)} is not a wire; a wire is $input or $node.port, and $$ begins text with a $")
    node, port = match["node"], match["port"]
    if node == "self":
        return SelfWire(port)
    if node is not None:
        return NodeWire(node, port)
    return ItemWire(port) if port == item else InputWire(port)


def parse_condition(text: str, *, item: str | None = None) -> Condition:
    """The condition that `text` writes.

    Raises:
        ValueError: It writes none; the message says what would be right.
    """
    match = _CONDITION.fullmatch(text.strip())
    if match is None or (match["no"] and match["op"]):
        raise ValueError(
            f"{_short(text)} is not a condition; write $node.flag, not $node.flag, or $node.port OP literal "
            "with one of == != < <= > >="
        )
    wire = parse_wire(match["wire"], item=item)
    if match["op"] is None:
        return Condition(wire, "not" if match["no"] else "is")
    return Condition(wire, cast("Operator", match["op"]), _literal(match["right"]))


def _literal(text: str) -> str | float | bool | None:
    if not text:
        raise ValueError("nothing stands after the operator; compare with a number, text, true, false or null")
    if text[0] in "\"'":
        if len(text) < 2 or text[-1] != text[0] or text[0] in text[1:-1]:
            raise ValueError(f"{_short(text)} is not quoted text; it begins and ends with the same quote")
        return text[1:-1]
    if text in _WORDS:
        return _WORDS[text]
    if _NUMBER.fullmatch(text):
        number = float(text)
        if number in (float("inf"), float("-inf")):
            raise ValueError(f"{_short(text)} is too large for a number; write a smaller one")
        return number
    if text.startswith("$"):
        raise ValueError(f"{_short(text)} stands right of the operator; a wire is compared with a literal")
    return text


def _written(literal: str | float | bool | None) -> str:
    if literal is None or isinstance(literal, bool):
        return {None: "null", True: "true", False: "false"}[literal]
    if isinstance(literal, str):
        return f"'{literal}'" if '"' in literal else f'"{literal}"'
    return f"{literal:.17g}"


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}…")


_ORDERED: Final[dict[str, Callable[[float, float], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def holds(condition: Condition, lookup: Callable[[Wire], Value]) -> bool:
    """Whether a condition is met, given what each wire holds.

    A wire that holds nothing meets no condition but `== null`, so what depends on something missing is skipped. An
    order between anything but numbers, which only `data` can bring, does not hold.
    """
    value = lookup(condition.wire)
    if value is None:
        return condition.operator == "==" and condition.literal is None
    found = _plain(value)
    if condition.operator == "is":
        return found is True
    if condition.operator == "not":
        return found is False
    if condition.operator in ("==", "!="):
        return _equal(found, condition.literal) == (condition.operator == "==")
    if not _is_number(found) or not _is_number(condition.literal):
        return False
    return _ORDERED[condition.operator](found, condition.literal)


def _plain(value: Value) -> Any:
    return value.value if isinstance(value, Text | Number | Flag | Data) else value


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _equal(found: object, literal: object) -> bool:
    if isinstance(found, bool) or isinstance(literal, bool):
        return found is literal
    return found == literal
