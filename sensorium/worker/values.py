"""Values as a tool sees them and as parts: inputs become native values, outputs are checked and become parts."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, cast

import msgspec
import numpy as np
from PIL import Image as PillowImage

from sensorium import media
from sensorium.parts import (
    Audio,
    Blob,
    Boxes,
    Data,
    Flag,
    Image,
    Latent,
    Masks,
    Number,
    Part,
    Points,
    Segment,
    Segments,
    Text,
    Value,
)
from sensorium.spec.ports import IDEMPOTENCY_KEY, PortType

__all__ = ["MAX_VALUE_BYTES", "Keep", "OutputPorts", "WrongOutput", "native_inputs"]

MAX_VALUE_BYTES = 1 << 29
"""Most bytes of one output value, before it is compressed."""
_MAX_DEPTH = 64
_MAX_RATE_HZ = 768_000
_LATENT_DTYPES: Mapping[str, type[np.generic]] = {
    "float16": np.float16,
    "int32": np.int32,
    "uint8": np.uint8,
}
"""Element types that a tool may give beside float32."""

Keep: TypeAlias = Callable[[bytes, str], Blob]
"""Takes bytes and their media type; gives a reference to them."""


class WrongOutput(Exception):
    """A tool's output does not fit its port; the message says what was found and what would be right."""


def native_inputs(values: Mapping[str, Value], ports: Mapping[str, PortType], key: str) -> dict[str, object]:
    """A native value for each input port, None where an optional port holds nothing; and the key, where there is one.

    Raises:
        Exception: Whatever reading a blob or decoding it raises.
    """
    native = {port: _native_value(values.get(port)) for port in ports}
    return {**native, IDEMPOTENCY_KEY: key} if key else native


def _native_value(value: Value) -> object:
    if isinstance(value, tuple):
        return [None if part is None else _native(part) for part in value]
    return None if value is None else _native(value)


def _native(part: Part) -> object:
    match part:
        case Image():
            return part.open()
        case Audio():
            return np.array(part.load()), part.rate_hz
        case Masks() | Boxes() | Points():
            return part.load()
        case Segments():
            return [(segment.start_s, segment.end_s, segment.text) for segment in part.value]
        case Latent():
            return _native_latent(part)
        case _:
            return part.value


def _native_latent(part: Latent) -> object:
    array = part.load()
    if part.dtype == "bfloat16":
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array if part.dtype == "uint8" else np.array(array)  # sealed bytes are large, and nobody writes in them


class OutputPorts:
    """The outputs that a tool declares, against which its results are checked.

    Args:
        types: Type of each port.
        twins: The text output that stands in for a latent output.
        identity: What made the latents.
    """

    def __init__(self, types: Mapping[str, PortType], twins: Mapping[str, str], identity: str) -> None:
        self.types = types
        self._twins = twins
        self._identity = identity

    def pack(self, result: object, keep: Keep) -> dict[str, Value]:
        """The parts of a call's result.

        Raises:
            WrongOutput: The result does not fit the ports.
        """
        if not isinstance(result, dict):
            raise WrongOutput(f"the result of a call is {_name(result)}; a dict of {{port: value}} would be right")
        native = cast("dict[object, object]", result)
        for port in native:
            if port not in self.types:
                raise WrongOutput(f"there is no output {port!r}; {self._nearest(str(port))}")
        packed = {port: self._pack_port(port, kind, native.get(port), keep) for port, kind in self.types.items()}
        return {port: self._with_twin(port, value, packed) for port, value in packed.items()}

    def pack_item(self, port: str, value: object, keep: Keep) -> Part:
        """The part of one element of a list output.

        Raises:
            WrongOutput: The port is no list output, or the element does not fit.
        """
        kind = self.types.get(port)
        if kind is None:
            raise WrongOutput(f"there is no output {port!r}; {self._nearest(port)}")
        if not kind.is_list:
            raise WrongOutput(f"output {port} is {kind}; an Item goes to a list output alone")
        return self._pack_part(f"an item of output {port}", kind, value, keep)

    def _pack_port(self, port: str, kind: PortType, value: object, keep: Keep) -> Value:
        if value is None:
            if kind.is_optional:
                return None
            raise WrongOutput(f"output {port} is missing; {_wanted(kind)} would be right")
        if not kind.is_list:
            return self._pack_part(f"output {port}", kind, value, keep)
        if not isinstance(value, list | tuple):
            raise WrongOutput(f"output {port} is {_name(value)}; a list would be right, each element {_wanted(kind)}")
        elements = cast("list[object]", value)
        return tuple(self._pack_part(f"output {port}[{at}]", kind, item, keep) for at, item in enumerate(elements))

    def _pack_part(self, where: str, kind: PortType, value: object, keep: Keep) -> Part:
        try:
            if kind.kind == "latent":
                return _latent(value, str(kind.space), self._identity, keep)
            if kind.kind in _WITH_BYTES:
                return _WITH_BYTES[kind.kind](value, keep)
            return _PLAIN[kind.kind](value)
        except WrongOutput as wrong:
            raise WrongOutput(f"{where} is {wrong}; {_wanted(kind)} would be right") from None

    def _with_twin(self, port: str, value: Value, packed: Mapping[str, Value]) -> Value:
        if not isinstance(value, Latent) or port not in self._twins:
            return value
        twin = packed.get(self._twins[port])
        return msgspec.structs.replace(value, twin=twin.value if isinstance(twin, Text) else None)

    def _nearest(self, port: str) -> str:
        close = difflib.get_close_matches(port, self.types, n=1)
        known = ", ".join(self.types)
        return f"did it mean {close[0]!r}? its outputs are {known}" if close else f"its outputs are {known}"


_RIGHT = {
    "text": "a str",
    "number": "a finite float",
    "flag": "a bool",
    "data": "a JSON value (dict with str keys, list, str, finite number, bool)",
    "image": "a PIL.Image in mode L, RGB or RGBA",
    "audio": "(samples, rate): float32 samples [frames] from -1 to 1, and the rate in Hz as an int",
    "masks": "a bool array [n, height, width]",
    "boxes": "a finite float32 array [n, 4], each row x0 y0 x1 y1 with x0 <= x1 and y0 <= y1",
    "points": "a finite float32 array [n, 2]",
    "segments": "a list of (start_s, end_s, text)",
    "latent": "a finite float32 or float16 array, or one of int32 or uint8",
}


def _wanted(kind: PortType) -> str:
    return _RIGHT[kind.kind]


def _name(value: object) -> str:
    """What was found, in a few words."""
    array = _as_array(value)
    if array is not None:
        return f"a {array.dtype} array {list(array.shape)}"
    if value is None:
        return "None"
    kind = type(value)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return f"of type {name}"


def _utf8(value: str) -> str:
    text = str(value)
    try:
        size_bytes = len(text.encode())
    except UnicodeEncodeError as error:
        raise WrongOutput(f"text with a lone surrogate at character {error.start}") from None
    _check_size(size_bytes)
    return text


def _check_size(size_bytes: int) -> None:
    if size_bytes > MAX_VALUE_BYTES:
        raise WrongOutput(f"a value of {size_bytes:,} bytes where at most {MAX_VALUE_BYTES:,} can be passed on")


def _text(value: object) -> Text:
    if not isinstance(value, str):
        raise WrongOutput(_name(value))
    return Text(_utf8(value))


def _finite(value: object, what: str = "") -> float:
    if _is_flag(value) or not _is_number(value):
        raise WrongOutput(what + _name(value))
    try:
        number = float(cast("float", value))
    except OverflowError:
        raise WrongOutput(f"{what}an int too large for a float") from None
    if not math.isfinite(number):
        raise WrongOutput(f"{what}{number}")
    return number


def _is_flag(value: object) -> bool:
    return isinstance(value, bool | np.bool_)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.integer | np.floating)


def _as_array(value: object) -> media.Array | None:
    return cast("media.Array", value) if isinstance(value, np.ndarray) else None


def _as_list(value: object) -> list[object] | None:
    return list(cast("list[object]", value)) if isinstance(value, list | tuple) else None


def _number(value: object) -> Number:
    return Number(_finite(value))


def _flag(value: object) -> Flag:
    if not _is_flag(value):
        raise WrongOutput(_name(value))
    return Flag(bool(value))


def _data(value: object) -> Data:
    return Data(_json(value, "data", 0))


def _json(value: object, where: str, depth: int) -> Any:
    if depth > _MAX_DEPTH:
        raise WrongOutput(f"JSON nested more than {_MAX_DEPTH} deep")
    if value is None or value is True or value is False:
        return value
    if isinstance(value, dict):
        return {
            _json_key(key, where): _json(inner, f"{where}[{key!r}]", depth + 1)
            for key, inner in cast("dict[object, object]", value).items()
        }
    if isinstance(value, list | tuple):
        return [_json(inner, f"{where}[{at}]", depth + 1) for at, inner in enumerate(cast("list[object]", value))]
    return _json_leaf(value, where)


def _json_key(key: object, where: str) -> str:
    if type(key) is not str:
        raise WrongOutput(f"JSON with a key {_name(key)} at {where}")
    return _utf8(key)


def _json_leaf(value: object, where: str) -> Any:
    if type(value) is str:
        return _utf8(value)
    if type(value) is int and -(2**63) <= value < 2**64:
        return value
    if type(value) is float and math.isfinite(value):
        return value
    found = f"{value}" if type(value) in (int, float) else f"a value {_name(value)}"
    raise WrongOutput(f"JSON with {found[:80]} at {where}")


def _image(value: object, keep: Keep) -> Image:
    if not isinstance(value, PillowImage.Image):
        raise WrongOutput(_name(value))
    if value.mode not in ("L", "RGB", "RGBA"):
        raise WrongOutput(f"a picture in mode {value.mode}")
    if 0 in value.size:
        raise WrongOutput(f"a picture of {value.width} x {value.height} pixels")
    _check_size(value.width * value.height * len(value.mode))
    return Image(keep(media.encode_png(value), "image/png"), value.width, value.height)


def _audio(value: object, keep: Keep) -> Audio:
    pair = _as_list(value)
    if pair is None or len(pair) != 2:
        raise WrongOutput(_name(value))
    array, rate_hz = _array(pair[0], np.float32, (None,)), _rate_hz(pair[1])
    if array.size == 0:
        raise WrongOutput("sound without a sample")
    loudest = float(np.abs(array).max())
    if loudest > 1:
        raise WrongOutput(f"sound that reaches {loudest:g}")
    return Audio(keep(media.encode_wav(array, rate_hz), "audio/wav"), array.size / rate_hz, rate_hz)


def _rate_hz(value: object) -> int:
    number = cast("Any", value)
    if _is_flag(value) or not isinstance(value, int | np.integer) or not 0 < number <= _MAX_RATE_HZ:
        raise WrongOutput(f"sound with the rate {number!r:.40}")
    return int(number)


def _masks(value: object, keep: Keep) -> Masks:
    array = _array(value, np.bool_, (None, None, None))
    count, height, width = array.shape
    if 0 in (height, width):
        raise WrongOutput(_name(array))
    return Masks(keep(media.encode_masks(array), "application/x-npy"), count, height, width)


def _boxes(value: object) -> Boxes:
    array = _array(value, np.float32, (None, 4))
    for row in array:
        if row[0] > row[2] or row[1] > row[3]:
            raise WrongOutput(f"boxes with {row.tolist()} among them")
    return Boxes(tuple((float(row[0]), float(row[1]), float(row[2]), float(row[3])) for row in array))


def _points(value: object) -> Points:
    return Points(tuple((float(row[0]), float(row[1])) for row in _array(value, np.float32, (None, 2))))


def _segments(value: object) -> Segments:
    elements = _as_list(value)
    if elements is None:
        raise WrongOutput(_name(value))
    return Segments(tuple(_segment(item, at) for at, item in enumerate(elements)))


def _segment(value: object, at: int) -> Segment:
    triple = _as_list(value)
    if triple is None or len(triple) != 3:
        raise WrongOutput(f"a list whose element {at} is {_name(value)}")
    start, end, text = triple
    what = f"a list whose element {at} has a time "
    start_s, end_s = _finite(start, what), _finite(end, what)
    if end_s < start_s:
        raise WrongOutput(f"a list whose element {at} ends at {end_s:g} s, before it starts at {start_s:g} s")
    if not isinstance(text, str):
        raise WrongOutput(f"a list whose element {at} has a text {_name(text)}")
    return Segment(start_s, end_s, _utf8(text))


def _latent(value: object, space: str, identity: str, keep: Keep) -> Latent:
    found = _as_array(value)
    dtype = _LATENT_DTYPES.get(found.dtype.name, np.float32) if found is not None else np.float32
    array = _array(value, dtype, None)
    if array.size == 0:
        raise WrongOutput(_name(array))
    name = np.dtype(dtype).name
    blob = keep(media.encode_tensor(array, name), "application/octet-stream")
    return Latent(space, identity, tuple(array.shape), name, blob)


def _array(value: object, dtype: type[np.generic], shape: tuple[int | None, ...] | None) -> media.Array:
    """`value` as it is, when it is a finite array of `dtype` and `shape` (None: any length, or any shape)."""
    array = _as_array(value)
    if array is None or array.dtype != dtype:
        raise WrongOutput(_name(value))
    if shape is not None and not _fits(array.shape, shape):
        raise WrongOutput(_name(array))
    _check_size(array.nbytes)
    if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
        raise WrongOutput(f"{_name(array)} that holds NaN or infinity")
    return array


def _fits(found: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(found) == len(wanted) and all(right in (None, size) for size, right in zip(found, wanted, strict=True))


_PLAIN: dict[str, Callable[[object], Part]] = {
    "text": _text,
    "number": _number,
    "flag": _flag,
    "data": _data,
    "boxes": _boxes,
    "points": _points,
    "segments": _segments,
}
_WITH_BYTES: dict[str, Callable[[object, Keep], Part]] = {"image": _image, "audio": _audio, "masks": _masks}
