"""Whether a reply is one that its ask allows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from sensorium.model.contract import Ask

__all__ = ["misfit"]


def misfit(text: str, ask: Ask) -> str:
    """What is wrong with a whole reply to `ask`; empty where nothing is.

    A schema is held to by its type, enum, anyOf, properties, required, items and maxLength.
    """
    if ask.choices is not None and text not in ask.choices:
        return f"it may say {', '.join(map(repr, ask.choices))}"
    if (form := ask.form) is None:
        return ""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        return f"which is not JSON: {error}"
    fault = _misfit(value, form, "reply")
    return f"which does not fit the schema: {fault}" if fault else ""


_KINDS: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "number": (int, float),
    "integer": int,
    "boolean": bool,
    "null": type(None),
}


def _misfit(value: Any, schema: Mapping[str, Any], at: str) -> str:
    """What is wrong with a value, and where in the reply; empty where nothing is."""
    if "anyOf" in schema:
        faults = [_misfit(value, option, at) for option in schema["anyOf"]]
        return "" if "" in faults else "; ".join(faults)
    if "enum" in schema and value not in schema["enum"]:
        return f"{at} is {value!r}, none of {schema['enum']}"
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(_is(value, kind) for kind in kinds):
        return f"{at} is {value!r}, not of type {' or '.join(kinds)}"
    if isinstance(value, dict):
        return _object_misfit(cast("dict[str, Any]", value), schema, at)
    if isinstance(value, list):
        items = cast("Sequence[object]", value)
        inner = (_misfit(item, schema.get("items", {}), f"{at}[{index}]") for index, item in enumerate(items))
        return next((fault for fault in inner if fault), "")
    if isinstance(value, str) and len(value) > schema.get("maxLength", len(value)):
        return f"{at} has {len(value)} characters, more than {schema['maxLength']}"
    return ""


def _is(value: Any, kind: str) -> bool:
    return isinstance(value, _KINDS[kind]) and not (isinstance(value, bool) and kind in ("number", "integer"))


def _object_misfit(value: dict[str, Any], schema: Mapping[str, Any], at: str) -> str:
    properties = schema.get("properties", {})
    missing = [name for name in schema.get("required", []) if name not in value]
    if missing:
        return f"{at} lacks {', '.join(missing)}"
    is_closed = bool(properties) or schema.get("additionalProperties") is False
    unknown = [name for name in value if is_closed and name not in properties]
    if unknown:
        return f"{at} has {', '.join(unknown)}, which the schema does not name"
    inner = (_misfit(value[name], properties[name], f"{at}.{name}") for name in properties if name in value)
    return next((fault for fault in inner if fault), "")
