"""Wires and conditions as they are written, and what conditions say of values."""

from __future__ import annotations

import pytest

from sensorium.parts import Data, Flag, Number, Text, Value
from sensorium.spec.wires import (
    Condition,
    InputWire,
    ItemWire,
    NodeWire,
    SelfWire,
    Wire,
    holds,
    is_wire,
    parse_condition,
    parse_wire,
    unescape,
)


@pytest.mark.parametrize(
    ("text", "wire"),
    [
        ("$picture", InputWire("picture")),
        ("$item", ItemWire("item")),
        ("$look.labels", NodeWire("look", "labels")),
        ("$look-again.labels", NodeWire("look-again", "labels")),
        ("$self.done", SelfWire("done")),
    ],
)
def test_a_wire_is_read_and_written(text: str, wire: Wire) -> None:
    assert parse_wire(text, item="item") == wire
    assert str(wire) == text


@pytest.mark.parametrize("text", ["$", "$1", "$a.", "$.a", "$a.b.c", "$a b", "$a.b-c", "a", "$$a", "${env:HOME}", "$é"])
def test_what_is_no_wire_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a wire is"):
        parse_wire(text)


def test_two_dollars_are_text_with_one() -> None:
    assert not is_wire("$$5")
    assert is_wire("$five")
    assert unescape({"price": ["$$5", "5$", "$$$"]}) == {"price": ["$5", "5$", "$$"]}


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("$a.flag", Condition(NodeWire("a", "flag"), "is")),
        ("  not   $a.flag ", Condition(NodeWire("a", "flag"), "not")),
        ("$a.x>3", Condition(NodeWire("a", "x"), ">", 3.0)),
        ("$a.x <= -1.5e2", Condition(NodeWire("a", "x"), "<=", -150.0)),
        ("$a.x == two words", Condition(NodeWire("a", "x"), "==", "two words")),
        ("$a.x != '3'", Condition(NodeWire("a", "x"), "!=", "3")),
        ('$a.x == ""', Condition(NodeWire("a", "x"), "==", "")),
        ("$a.x == true", Condition(NodeWire("a", "x"), "==", True)),
        ("$a.x != null", Condition(NodeWire("a", "x"), "!=", None)),
    ],
)
def test_a_condition_is_read_and_written(text: str, condition: Condition) -> None:
    assert parse_condition(text) == condition
    assert parse_condition(str(condition)) == condition


@pytest.mark.parametrize(
    "text", ["", "a", "not", "not a", "$a.x =", "$a.x == ", "$a.x == 'b", "$a.x == $b", "not $a.x == 1", "$a.x > 1e999"]
)
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="; "):
        parse_condition(text)


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ("$a.x", Flag(True), True),
        ("$a.x", Flag(False), False),
        ("not $a.x", Flag(False), True),
        ("$a.x", None, False),
        ("not $a.x", None, False),
        ("$a.x == null", None, True),
        ("$a.x != null", None, False),
        ("$a.x == null", Text("x"), False),
        ("$a.x != null", Text("x"), True),
        ("$a.x > 0", Number(1.0), True),
        ("$a.x > 0", Number(0.0), False),
        ("$a.x >= 0", Number(0.0), True),
        ("$a.x < 1", None, False),
        ("$a.x != 1", None, False),
        ("$a.x == cat", Text("cat"), True),
        ("$a.x != cat", Text("dog"), True),
        ("$a.x == true", Flag(True), True),
        ("$a.x == 1", Data(1), True),
        ("$a.x == 1", Data(True), False),
        ("$a.x > 1", Data("2"), False),
        ("$a.x == null", Data(None), True),
    ],
)
def test_a_condition_holds_or_not(text: str, value: Value, expected: bool) -> None:
    assert holds(parse_condition(text), lambda wire: value) is expected
