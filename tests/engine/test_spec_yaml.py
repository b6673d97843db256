"""YAML as files may hold it: 1.2, with positions, and nothing that could surprise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensorium.errors import AuthorError, Fault
from sensorium.spec.yaml import MAX_BYTES, Place, YamlPath, load_bytes, load_file, load_text

FINITE = "write a finite number, or text in quotes"
UNTAGGED = "remove it: files have no tags"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: yes", "yes"),
        ("a: off", "off"),
        ("a: 2020-01-01", "2020-01-01"),
        ("a: 1:30", "1:30"),
        ("a: 1_000", "1_000"),
        ("a: 012", 12),
        ("a: 0o17", 15),
        ("a: 0x1F", 31),
        ("a: +1", 1),
        ("a: -.5", -0.5),
        ("a: 1e3", 1000.0),
        ("a: true", True),
        ("a: ~", None),
        ("a:", None),
        ("a: 'true'", "true"),
        ("{a: number?, b: [x?]}", "number?"),
        ("a: |\n  x\n  y\n", "x\ny\n"),
        ("a: $node.port", "$node.port"),
        ('a: "\\u00e9 \\0"', "é \0"),
    ],
)
def test_plain_scalars_mean_what_yaml_1_2_says(text: str, value: object) -> None:
    found = load_text(text).data["a"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("raw", "faults"),
    [
        (b"", ["1:1: the file is empty"]),
        (b"# nothing\n", ["1:1: the file is empty"]),
        (b"\xef\xbb\xbfa: 1", ["1:1: the file begins with a byte order mark; save it as UTF-8 without"]),
        (b"a: 1\nb: \xc3(", ["2:4: byte 0xc3 is not UTF-8; save the file as UTF-8"]),
        (b"a: \xed\xa0\x80", ["1:4: byte 0xed is not UTF-8; save the file as UTF-8"]),
        (b"\xff\xfea\x00", ["1:1: byte 0xff is not UTF-8; save the file as UTF-8"]),
        (
            b"a: \x01",
            ["1:4: character U+0001 may not stand in YAML; remove it, or write it as an escape in double quotes"],
        ),
        (b"a: 1\nb: 2\na: 3\n", ["3:1: key 'a' stands twice; it is already at line 1; keep one"]),
        (b"1: a\n", ["1:1: key 1 is not text; a key is a name, or stands in quotes"]),
        (b"null: a\n", ["1:1: key null is not text; a key is a name, or stands in quotes"]),
        (b"? [a]\n: b\n", ["1:3: a key that is not text; a key is a name"]),
        (b"a: .inf\n", ["1:4: .inf is not a finite number; write a finite number, or text in quotes"]),
        (b"a: 1e999\n", ["1:4: 1e999 is too large for a number; write a finite number, or text in quotes"]),
        (b"a: " + b"9" * 50, ["1:4: a whole number of 50 digits is too large; " + FINITE]),
        (b"a: 1\n---\nb: 2\n", ["2:1: a second document begins here; a file holds one document"]),
        (b"a: !!python/name:os.fork x", ["1:4: tag tag:yaml.org,2002:python/name:os.fork; " + UNTAGGED]),
        (
            b"a: b: c\n",
            [
                "1:5: not YAML: mapping values are not allowed in this context; "
                "a value that holds ': ' stands in quotes, and keys of a mapping line up"
            ],
        ),
        (b"[" * 100, ["1:33: nested deeper than 32; nest less"]),
        (b"x" * (MAX_BYTES + 1), ["1:1: the file is larger than 1,048,576 bytes; split it"]),
        (
            b"a: &a [x]\nb: [*a, *a]\n",
            [
                "1:4: anchor &a; remove it: files have no anchors and aliases",
                "2:5: alias *a; write the value out: files have no anchors and aliases",
                "2:9: alias *a; write the value out: files have no anchors and aliases",
            ],
        ),
    ],
)  # fmt: skip
def test_what_files_may_not_hold_is_told_at_its_place(tmp_path: Path, raw: bytes, faults: list[str]) -> None:
    path = tmp_path / "f.yaml"
    path.write_bytes(raw)
    with pytest.raises(AuthorError) as caught:
        load_file(path)
    assert [str(fault).removeprefix(f"{path}:") for fault in caught.value.faults] == faults


def test_a_billion_laughs_are_refused_at_once() -> None:
    lines = ["a0: &a0 [lol, lol]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 60))]
    with pytest.raises(AuthorError, match="anchors and aliases"):
        load_text("\n".join(lines))


def test_a_wide_file_is_refused_before_it_is_built() -> None:
    with pytest.raises(AuthorError, match="more than 100,000 values"):
        load_text(f"[{'x,' * 250_000}]")


def test_a_file_that_is_not_there_is_a_fault_of_its_author(tmp_path: Path) -> None:
    with pytest.raises(AuthorError, match=r"none\.yaml: cannot read the file: No such file"):
        load_file(tmp_path / "none.yaml")
    with pytest.raises(AuthorError, match="cannot read the file: Is a directory"):
        load_file(tmp_path)


def test_positions_are_those_that_an_editor_shows() -> None:
    document = load_text("name: é\nnodes:\n  ü: {tool: see,\n      with: [a, ß, c]}\n")
    assert document.where(("nodes", "ü", "tool")) == (3, 13)
    assert document.where(("nodes", "ü", "with", 2)) == (4, 20)
    assert document.where_key(("nodes", "ü", "with")) == (4, 7)
    assert document.where(("nodes", "ü", "with", 7, "x")) == (4, 13)
    assert document.where(("nothing",)) == (1, 1)


WORDS = """a : ,: - [ ] { } , &x *x !t ? x? | > ' " \\ # % $a.b ~ é 1 .nan <<"""
PIECES = st.sampled_from([*WORDS.split(), "\n", "  ", ": ", "---\n"])


@settings(max_examples=250, deadline=None)
@given(st.binary(max_size=300) | st.lists(PIECES, max_size=60).map(lambda all_: "".join(all_).encode()))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    faults, positions = outcome(raw)
    assert bool(faults) != (() in positions)
    assert all(fault.line >= 1 and fault.column >= 1 for fault in faults)


def outcome(raw: bytes) -> tuple[Sequence[Fault], Mapping[YamlPath, Place]]:
    try:
        return (), load_bytes(raw, "f.yaml").positions
    except AuthorError as error:
        return error.faults, {}
