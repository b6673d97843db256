"""A graph as YAML that people like to read: what fits into a line stands in one, the rest in blocks."""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final

from sensorium.errors import AuthorError
from sensorium.spec.graph import GraphSpec
from sensorium.spec.literals import named
from sensorium.spec.plain import is_list, is_mapping
from sensorium.spec.yaml import MAX_DEPTH, NotANumber, resolve

__all__ = ["to_yaml"]

_WIDTH: Final = 110
_PLAIN = re.compile(r"\$?[A-Za-z_][A-Za-z0-9_./()+-]*(?: [A-Za-z0-9_$<>=!./()+-]+)*")
"""Text that every YAML reader takes as it is, inside and outside of brackets."""
_ESCAPED = re.compile("[\x7f-\xa0\u2028\u2029\ufeff\ufff0-\uffff]")
_BLOCK = re.compile(r"[^\x00-\x09\x0b-\x1f\x7f-\xa0\u2028\u2029\ud800-\udfff\ufeff\ufff0-\uffff]*")
_ALONE = ("inputs", "outputs")


def to_yaml(spec: GraphSpec, *, schema: str = "") -> str:
    """The graph as a file; reading it gives an equal `GraphSpec`.

    `schema` is the address of the JSON Schema that editors shall use.

    Raises:
        AuthorError: The graph was built in Python with values that a file cannot hold.
    """
    data = spec.model_dump(by_alias=True, exclude_defaults=True, mode="python")
    head = [f"# yaml-language-server: $schema={schema}"] if schema else []
    body = {"sensorium": spec.sensorium, **data}
    return "\n".join([*head, *_block(body, 0, ())]) + "\n"


def _block(mapping: dict[str, Any], indent: int, path: tuple[str, ...]) -> list[str]:
    lines: list[str] = []
    for key, value in mapping.items():
        lines += _entry(f"{' ' * indent}{_text(key)}:", value, indent, (*path, key))
    return lines


def _entry(head: str, value: Any, indent: int, path: tuple[str, ...]) -> list[str]:
    """A key or a dash, and what stands behind it."""
    if len(path) > MAX_DEPTH + 2:
        raise AuthorError(f"{'.'.join(path[:3])}…: nested deeper than {MAX_DEPTH}; nest less")
    if isinstance(value, str) and "\n" in value and _is_block(value):
        mark = "|" if value.endswith("\n") else "|-"
        return [
            f"{head} {mark}",
            *(f"{' ' * (indent + 2)}{line}" if line else "" for line in value.rstrip("\n").split("\n")),
        ]
    flow = _flow(value, path)
    if not (is_mapping(value) or is_list(value)) or not value:
        return [f"{head} {flow}"]
    if path != ("nodes",) and len(head) + 1 + len(flow) <= _WIDTH and not _is_deep(value, path):
        return [f"{head} {flow}"]
    if is_mapping(value):
        return [head, *_block(value, indent + 2, path)]
    dash = f"{' ' * (indent + 2)}-"
    return [head, *(line for item in list[Any](value) for line in _entry(dash, item, indent + 2, (*path, "-")))]


def _is_deep(value: Any, path: tuple[str, ...]) -> bool:
    """Whether a value has so many floors that a line of it would not read well."""
    floors = 3 if path[:1] == ("nodes",) else 2
    return _floors(value) > floors or (is_mapping(value) and any(_has_lines(item) for item in value.values()))


def _floors(value: Any) -> int:
    if is_mapping(value):
        return 1 + max((_floors(item) for item in value.values()), default=0)
    if is_list(value):
        return 1 + max((_floors(item) for item in value), default=0)
    return 0


def _has_lines(value: Any) -> bool:
    if is_mapping(value):
        return any(_has_lines(item) for item in value.values())
    if is_list(value):
        return any(_has_lines(item) for item in value)
    return isinstance(value, str) and "\n" in value and _is_block(value)


def _is_block(text: str) -> bool:
    """Whether a text can stand as a literal block and come back the same."""
    body = text.removesuffix("\n")
    return (
        bool(_BLOCK.fullmatch(text))
        and not body.startswith((" ", "\n"))
        and not body.endswith("\n")
        and bool(body)
        and all(line.strip() for line in body.split("\n") if line)
    )


def _flow(value: Any, path: tuple[str, ...]) -> str:
    if len(path) > MAX_DEPTH + 2:
        raise AuthorError(f"{'.'.join(path[:3])}…: nested deeper than {MAX_DEPTH}; nest less")
    if is_mapping(value):
        entries = (f"{_key(key, path)}: {_flow(item, (*path, str(key)))}" for key, item in value.items())
        return f"{{{', '.join(entries)}}}"
    if is_list(value):
        return f"[{', '.join(_flow(item, (*path, '-')) for item in value)}]"
    return _scalar(value, path)


def _key(key: Any, path: tuple[str, ...]) -> str:
    if not isinstance(key, str):
        raise AuthorError(f"{'.'.join(path)}: {named(key)} as a key; keys are text")
    return _text(key)


def _scalar(value: Any, path: tuple[str, ...]) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise AuthorError(f"{'.'.join(path)}: a number that is not finite; write a finite one")
    if isinstance(value, int | float):
        text = repr(value)
        try:
            resolve(text)
        except NotANumber as error:
            raise AuthorError(f"{'.'.join(path)}: {error}") from error
        return text
    raise AuthorError(f"{'.'.join(path)}: {named(value)} cannot stand in a file; wire it from an input")


def _text(text: str) -> str:
    if _PLAIN.fullmatch(text) and isinstance(resolve(text), str):
        return text
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise AuthorError("text with half a character (a lone surrogate); write whole characters") from error
    return _ESCAPED.sub(lambda match: f"\\u{ord(match[0]):04x}", json.dumps(text, ensure_ascii=False))
