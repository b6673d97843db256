"""YAML 1.2 with positions, and without what makes YAML dangerous: aliases, tags, duplicate keys, deep nesting.

Plain scalars are read by the core schema (https://yaml.org/spec/1.2.2/#103-core-schema): `yes`, `off` and dates are
text. ruamel's compiled parser gives the events; nothing but plain dicts, lists, text, numbers, flags and null is made.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias, cast

from ruamel.yaml import YAML
from ruamel.yaml.cyaml import CParser  # type: ignore[attr-defined]  # ruamel exports it without saying so
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
    StreamStartEvent,
)

from sensorium.errors import AuthorError, Fault

__all__ = [
    "MAX_BYTES",
    "MAX_DEPTH",
    "MAX_VALUES",
    "Document",
    "NotANumber",
    "Place",
    "YamlPath",
    "load_bytes",
    "load_file",
    "load_text",
    "resolve",
    "survey_bytes",
    "survey_file",
    "survey_text",
]

MAX_BYTES: Final = 1 << 20
"""Largest file."""
MAX_DEPTH: Final = 32
"""Deepest nesting of mappings and lists."""
MAX_VALUES: Final = 100_000
"""Most keys and values of a file."""
MAX_SLOW_CHARACTERS: Final = 1 << 16
"""Longest text that is given to the parser which is not compiled."""
MAX_FAULTS: Final = 100
"""After so many faults of form a file is not read on."""

Place: TypeAlias = tuple[int, int]
"""Line and column, both counted from 1."""
YamlPath: TypeAlias = tuple[str | int, ...]
"""Keys and indices that lead to a value."""

_NULL = frozenset(("", "~", "null", "Null", "NULL"))
_TRUE = frozenset(("true", "True", "TRUE"))
_FALSE = frozenset(("false", "False", "FALSE"))
_INT = re.compile(r"[-+]?[0-9]+")
_OTHER_INT = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_MAX_INT_DIGITS = 19


@dataclass(frozen=True, slots=True)
class Document:
    """What a file says, and where it says it."""

    path: str
    """The file, as the author would name it."""
    data: Any
    """Dicts, lists, text, numbers, flags, null."""
    positions: Mapping[YamlPath, Place]
    """Where each value stands."""
    keys: Mapping[YamlPath, Place]
    """Where the key of each value in a mapping stands."""
    faults: tuple[Fault, ...] = ()
    """What is wrong with the form of a file that could be read all the same."""
    lost: frozenset[YamlPath] = frozenset()
    """Values of which the file does not say what they are, for such a fault."""

    def where(self, path: YamlPath) -> Place:
        """Where the value at `path` stands; where there is none, its nearest parent."""
        while path and path not in self.positions:
            path = path[:-1]
        return self.positions[path]

    def where_key(self, path: YamlPath) -> Place:
        """Where the key of the value at `path` stands; where there is none, the value or its nearest parent."""
        return self.keys.get(path) or self.where(path)

    def fault(self, path: YamlPath, found: str, right: str, *, key: bool = False) -> Fault:
        """A fault at the value at `path`, or at its key."""
        line, column = self.where_key(path) if key else self.where(path)
        return Fault(self.path, line, column, found, right)


class NotANumber(ValueError):
    """A plain scalar writes a number that a file may not hold."""


def resolve(text: str) -> str | int | float | bool | None:
    """What a plain scalar means by the core schema of YAML 1.2.

    Raises:
        NotANumber: It is infinite, not a number, or too large to be kept exactly.
    """
    if not text or text[0] not in "~nNtTfF+-.0123456789":
        return text if text else None
    if text in _NULL:
        return None
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    if _NOT_FINITE.fullmatch(text):
        raise NotANumber(f"{text} is not a finite number")
    if _INT.fullmatch(text):
        if len(text.lstrip("+-0")) >= _MAX_INT_DIGITS:
            raise NotANumber(f"a whole number of {len(text.lstrip('+-'))} digits is too large")
        return int(text)
    if _OTHER_INT.fullmatch(text):
        if len(text) > _MAX_INT_DIGITS:
            raise NotANumber(f"a whole number of {len(text)} characters is too large")
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        number = float(text)
        if number in (float("inf"), float("-inf")):
            raise NotANumber(f"{_short(text)} is too large for a number")
        return number
    return text


def load_file(path: str | Path) -> Document:
    """The file's content with positions.

    Raises:
        AuthorError: It cannot be read, or is not the YAML that a file may hold; every fault of form is told at once.
    """
    return _required(survey_file(path))


def load_text(text: str, path: str = "") -> Document:
    """As `load_file`, of text."""
    return _required(survey_text(text, path))


def load_bytes(raw: bytes, path: str = "") -> Document:
    """As `load_file`, of bytes."""
    return _required(survey_bytes(raw, path))


def _required(document: Document) -> Document:
    if document.faults:
        raise AuthorError(document.faults)
    return document


def survey_file(path: str | Path) -> Document:
    """As `load_file`, but faults of form that leave the rest of the file readable stand in the document.

    Raises:
        AuthorError: It cannot be read on.
    """
    name = str(path)
    if Path(path).is_fifo():  # would be waited for without end
        raise AuthorError([Fault(name, 0, 0, "cannot read the file: it is a pipe", "")])
    try:
        with Path(path).open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise AuthorError([Fault(name, 0, 0, f"cannot read the file: {why}", "")]) from error
    return survey_bytes(raw, name)


def survey_bytes(raw: bytes, path: str = "") -> Document:
    """As `survey_file`, of bytes; raises the same."""
    if len(raw) > MAX_BYTES:
        raise AuthorError([Fault(path, 1, 1, f"the file is larger than {MAX_BYTES:,} bytes", "split it")])
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line, column = _place(raw[: error.start].decode("utf-8"), error.start)
        found = f"byte 0x{raw[error.start]:02x} is not UTF-8"
        raise AuthorError([Fault(path, line, column, found, "save the file as UTF-8")]) from error
    return survey_text(text, path)


def survey_text(text: str, path: str = "") -> Document:
    """As `survey_file`, of text; raises the same."""
    _refuse_characters(text, path)
    try:
        return _Loader(_compiled_events(text), path).document()
    except MarkedYAMLError as error:
        document = _second_opinion(text, path)
        if document is not None:
            return document
        raise AuthorError([_syntax_fault(error, text, path)]) from error
    except YAMLError as error:
        raise AuthorError([Fault(path, 1, 1, f"not YAML: {str(error).splitlines()[0]}", "")]) from error


def _compiled_events(text: str) -> Iterator[Any]:
    parser = cast("Callable[[str], Any]", CParser)(text)
    while (event := parser.get_event()) is not None:
        yield event


def _second_opinion(text: str, path: str) -> Document | None:
    """The document where only the compiled parser stumbles: over a `?` inside brackets, as in `{times: number?}`."""
    if "?" not in text or len(text) > MAX_SLOW_CHARACTERS:
        return None
    parser: Any = YAML(typ="safe", pure=True)
    try:
        return _Loader(parser.parse(text), path).document()
    except YAMLError:
        return None


def _refuse_characters(text: str, path: str) -> None:
    bad = _FORBIDDEN.search(text)
    if bad is not None:
        line, column = _place(text, bad.start())
        if bad.start() == 0 and bad[0] == "\ufeff":
            raise AuthorError([Fault(path, 1, 1, "the file begins with a byte order mark", "save it as UTF-8 without")])
        found = f"character U+{ord(bad[0]):04X} may not stand in YAML"
        raise AuthorError([Fault(path, line, column, found, "remove it, or write it as an escape in double quotes")])
    if len(text) > MAX_BYTES or len(text.encode()) > MAX_BYTES:
        raise AuthorError([Fault(path, 1, 1, f"the text is larger than {MAX_BYTES:,} bytes", "split it")])


def _place(text: str, index: int) -> Place:
    before = text[:index]
    lines = re.split("\r\n|\r|\n", before)
    return len(lines), len(lines[-1]) + 1


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}…"


_HINTS = (
    ("found character that cannot start any token", "indent with spaces, and quote text that begins with @ ` or %"),
    ("mapping values are not allowed", "a value that holds ': ' stands in quotes, and keys of a mapping line up"),
    ("did not find expected key", "keys of one mapping line up"),
    ("could not find expected ':'", "a key is followed by a colon and a space"),
    ("found unexpected ':'", "a colon is followed by a space"),
    ("did not find expected ',' or", "close every bracket, part values by commas, and quote types such as \"number?\""),
    ("found unexpected end of stream", "close the quotes"),
)  # fmt: skip


def _syntax_fault(error: Any, text: str, path: str) -> Fault:
    problem = str(error.problem or error.context or "not YAML")
    mark: Any = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
    right = next((hint for start, hint in _HINTS if start in problem), "")
    context = f" {error.context}:" if error.context and error.problem else ""
    return Fault(path, min(line, text.count("\n") + 1), column, f"not YAML:{context} {problem}", right)


def _is(event: object, kind: type[object]) -> bool:
    return isinstance(event, kind)


class _Loader:
    """Builds plain data from the parser's events, and keeps faults of form."""

    def __init__(self, events: Iterator[Any], path: str) -> None:
        self.path = path
        self.events = events
        self.positions: dict[YamlPath, Place] = {}
        self.keys: dict[YamlPath, Place] = {}
        self.faults: list[Fault] = []
        self.lost: set[YamlPath] = set()
        self.count = 0

    def document(self) -> Document:
        event = self.next()
        if _is(event, StreamStartEvent):
            event = self.next()
        if _is(event, StreamEndEvent):
            raise AuthorError([Fault(self.path, 1, 1, "the file is empty", "")])
        assert _is(event, DocumentStartEvent)
        data = self.value(self.next(), (), 0)
        self.next()
        after = self.next()
        if not _is(after, StreamEndEvent):
            self.fault(after, "a second document begins here", "a file holds one document")
        return Document(self.path, data, self.positions, self.keys, tuple(self.faults), frozenset(self.lost))

    def next(self) -> Any:
        self.count += 1
        event = next(self.events)
        if self.count > 2 * MAX_VALUES:
            self.fault(event, f"the file holds more than {MAX_VALUES:,} values", "split it")
            raise AuthorError(self.faults)
        return event

    def fault(self, event: Any, found: str, right: str) -> None:
        mark = event.start_mark
        self.faults.append(Fault(self.path, mark.line + 1, mark.column + 1, found, right))
        if len(self.faults) >= MAX_FAULTS:
            raise AuthorError(self.faults)

    def value(self, event: Any, path: YamlPath, depth: int) -> Any:
        mark = event.start_mark
        self.positions[path] = (mark.line + 1, mark.column + 1)
        if _is(event, AliasEvent):
            self.fault(event, f"alias *{event.anchor}", "write the value out: files have no anchors and aliases")
            self.lost.add(path)
            return None
        if event.anchor is not None:
            self.fault(event, f"anchor &{event.anchor}", "remove it: files have no anchors and aliases")
        if _is(event, ScalarEvent):
            return self.scalar(event, path)
        if event.tag is not None:
            self.fault(event, f"tag {_short(str(event.tag))}", "remove it: files have no tags")
        if depth >= MAX_DEPTH:
            self.fault(event, f"nested deeper than {MAX_DEPTH}", "nest less")
            raise AuthorError(self.faults)
        if _is(event, MappingStartEvent):
            return self.mapping(path, depth + 1)
        assert _is(event, SequenceStartEvent)
        return self.sequence(path, depth + 1)

    def scalar(self, event: Any, path: YamlPath) -> str | int | float | bool | None:
        if event.tag is not None:
            self.fault(event, f"tag {_short(str(event.tag))}", "remove it: files have no tags")
        text: str = event.value
        if event.style:  # quoted, or a block
            return text
        try:
            return resolve(text)
        except NotANumber as error:
            self.fault(event, str(error), "write a finite number, or text in quotes")
            self.lost.add(path)
            return 0

    def sequence(self, path: YamlPath, depth: int) -> list[Any]:
        items: list[Any] = []
        while not _is(event := self.next(), SequenceEndEvent):
            items.append(self.value(event, (*path, len(items)), depth))
        return items

    def mapping(self, path: YamlPath, depth: int) -> dict[str, Any]:
        entries: dict[str, Any] = {}
        while not _is(event := self.next(), MappingEndEvent):
            key = self.key(event, path, depth)
            mark = event.start_mark
            if key is not None and key in entries:
                first = self.keys[(*path, key)]
                self.fault(event, f"key {_short(key)!r} stands twice", f"it is already at line {first[0]}; keep one")
                self.skip(self.next(), depth)
                continue
            if key is None:
                self.lost.add((*path, ""))
                self.skip(self.next(), depth)
                continue
            at = (*path, key)
            self.keys[at] = (mark.line + 1, mark.column + 1)
            entries[key] = self.value(self.next(), at, depth)
        return entries

    def key(self, event: Any, path: YamlPath, depth: int) -> str | None:
        if not _is(event, ScalarEvent):
            self.fault(event, "a key that is not text", "a key is a name")
            self.skip(event, depth)
            return None
        if event.anchor is not None:
            self.fault(event, f"anchor &{event.anchor}", "remove it: files have no anchors and aliases")
        key = self.scalar(event, (*path, ""))
        if not isinstance(key, str):
            self.fault(
                event, f"key {_short(event.value) or 'null'} is not text", "a key is a name, or stands in quotes"
            )
            return None
        return key

    def skip(self, event: Any, depth: int) -> None:
        """Reads a value for its faults alone."""
        kept = self.positions, self.keys, self.lost
        self.positions, self.keys, self.lost = {}, {}, set()
        self.value(event, (), depth)
        self.positions, self.keys, self.lost = kept
