"""The one door for values from outside: Python values, and texts of a command line."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard, cast

import msgspec
import numpy as np
from PIL import Image as PillowImage

from sensorium import media
from sensorium.admit import arrays, latents, pictures, plain, sounds
from sensorium.admit.files import files_in, read_file
from sensorium.errors import CallerError
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
    Segments,
    Text,
    Value,
)
from sensorium.spec.ports import PortType
from sensorium.store import Store

__all__ = ["MOST_ITEMS", "Admission"]

MOST_ITEMS = 10_000
"""Most elements of a list input."""

_log = logging.getLogger("sensorium")
_PARTS = (Text, Number, Flag, Data, Boxes, Points, Segments, Image, Audio, Masks, Latent)
_MEDIA = ("image", "audio", "masks", "latent")


class _Element(NamedTuple):
    """One element of a list."""

    part: Part
    file: str
    """The file that it came from, as it was named; empty for none."""


def _warn(path: Path, why: str) -> None:
    """Tells the program's log."""
    _log.warning("%s is left aside: it %s", path, why)


class Admission:
    """Turns what a caller gives into parts, and puts media into the store.

    Every refusal is a `CallerError` that names the input, the file where there is one, what was found and what would
    be right. A full disk or the like is an `OperatorError`.

    Args:
        store: Where media go.
        leave: Hears which file of a folder is left aside, and why, as in `is no picture that can be read`.
    """

    def __init__(self, store: Store, leave: Callable[[Path, str], None] = _warn) -> None:
        self._store = store
        self._leave = leave
        self.files: dict[str, tuple[str, ...]] = {}
        """For each list that `admit_text` took: the file of each element, empty for one that came from none."""
        self._takers: dict[str, Callable[[Any], Part]] = {
            "text": self._text,
            "number": lambda value: Number(plain.take_number(value)),
            "flag": lambda value: Flag(plain.take_flag(value)),
            "data": self._data,
            "boxes": lambda value: Boxes(arrays.take_boxes(value)),
            "points": lambda value: Points(arrays.take_points(value)),
            "segments": lambda value: Segments(arrays.take_segments(value)),
            "image": self._image,
            "audio": self._audio,
            "masks": self._masks,
            "latent": self._latent,
        }

    def admit(self, value: object, port_type: PortType, *, name: str) -> Value:
        """The part, or parts, that a Python value stands for.

        Taken as they are: parts of the port's kind. Else text: `str`; number: `int`, `float`; flag: `bool`; data:
        whatever JSON can say; boxes, points, segments: lists or arrays of rows; image: a path, a file's bytes, a
        Pillow image, uint8 [height, width] or [height, width, channels]; audio: a path, a file's bytes, or
        `(samples, rate in Hz)`; masks: a path of a .npy file, its bytes, or an array. A `Path` for any kind is read as
        that kind's file. A list port takes a list, or a folder's `Path`: those of its files that are of the kind.

        Args:
            value: What the caller gave; None for nothing.
            port_type: What the port takes.
            name: The input's name, for messages.

        Raises:
            CallerError: The port does not take the value.
            OperatorError: The store cannot be written.
        """
        with _about(f"input {name}"):
            if value is None:
                if port_type.is_optional:
                    return None
                raise CallerError(f"is missing; it takes {_wanted(port_type)}")
            if port_type.is_list:
                return self._list(value, port_type.item)
            return self._one(value, port_type)

    def admit_text(self, texts: Sequence[str], port_type: PortType, *, name: str) -> Value:
        """The part, or parts, that texts of a command line stand for.

        `@FILE` is read as the port's kind; `@DIR`, for a list, as those of its files that are of the kind, in order of
        name; `@@` begins text with one `@`. Without it, text, numbers, `true` and `false`, and JSON are taken as they
        are written.

        Args:
            texts: What was given for the input, in order: several for a list only.
            port_type: What the port takes.
            name: The input's name, for messages.

        Raises:
            CallerError: The port does not take them.
            OperatorError: The store cannot be written.
        """
        with _about(f"input {name}"):
            if port_type.is_list:
                _check_length(len(texts))
                elements = [one for text in texts for one in self._elements(text, port_type.item, name)]
                _check_length(len(elements))
                self.files[name] = tuple(one.file for one in elements)
                return tuple(one.part for one in elements)
            if len(texts) != 1:
                raise CallerError(f"is given {len(texts)} times; it takes {_wanted(port_type)}, once")
            return self._written(texts[0], port_type, name)

    def _elements(self, text: str, item: PortType, name: str) -> list[_Element]:
        """What one text of a command line stands for in a list."""
        path = _path_in(text)
        if path is not None and path.is_dir():
            return self._from_folder(path, item)
        return [_Element(self._written(text, item, name), str(path or ""))]

    def _from_folder(self, folder: Path, item: PortType) -> list[_Element]:
        """The files of a folder that are of the kind. Others are left aside, unless all are."""
        taken: list[_Element] = []
        refused: list[tuple[Path, str]] = []
        with _about(str(folder)):
            for path in files_in(folder, MOST_ITEMS):
                try:
                    taken.append(_Element(self._from_path(path, item), str(path)))
                except CallerError as error:
                    refused.append((path, str(error)))
            if not taken:
                path, why = refused[0]
                raise CallerError(f"holds no file that is {_wanted(item)}: {path.name} {why}")
        for path, why in refused:
            self._leave(path, why)
        return taken

    def _written(self, text: str, port_type: PortType, name: str) -> Part:
        """The part that one text of a command line stands for."""
        kind = port_type.kind
        path = _path_in(text)
        if path is not None:
            return self._one(path, port_type)
        text = text[1:] if text.startswith("@@") else text
        match kind:
            case "text":
                return Text(plain.check_text(text))
            case "number":
                return Number(plain.number_from_text(text))
            case "flag":
                return Flag(plain.flag_from_text(text))
            case "data" | "boxes" | "points" | "segments":
                return self._one(plain.parse_json(plain.check_text(text, plain.MOST_JSON_BYTES)), port_type)
            case _:
                raise CallerError(f"takes {_wanted(port_type)}; give a file as {name}=@FILE")

    def _list(self, value: object, item: PortType) -> Value:
        if isinstance(value, str | Path) and item.kind in _MEDIA and Path(value).is_dir():
            return tuple(one.part for one in self._from_folder(Path(value), item))
        if not isinstance(value, list | tuple | np.ndarray):
            raise CallerError(f"is {_named(value)}; give a list of {item.kind} values")
        values = list(cast("Sequence[object]", value))
        _check_length(len(values))
        return tuple(self._element(one, item, index) for index, one in enumerate(values))

    def _element(self, value: object, item: PortType, index: int) -> Part:
        if isinstance(value, str | Path):
            return self._one(value, item)
        with _about(f"element {index}"):
            return self._one(value, item)

    def _one(self, value: object, port_type: PortType) -> Part:
        if isinstance(value, _PARTS):
            return self._own(value, port_type)
        if isinstance(value, Path) or (isinstance(value, str) and port_type.kind in _MEDIA):
            with _about(str(value)):
                return self._from_path(Path(value), port_type)
        return self._takers[port_type.kind](value)

    def _own(self, part: Part, port_type: PortType) -> Part:
        """A part that was made elsewhere, its media in this store."""
        if part.kind != port_type.kind or (isinstance(part, Latent) and part.space != port_type.space):
            raise CallerError(f"is {_named(part)}; give {_wanted(port_type)}")
        if isinstance(part, Image):
            return part if self._holds(part.blob) else self._image(part.blob.read())
        if isinstance(part, Audio):
            return part if self._holds(part.blob) else self._audio(part.blob.read())
        if isinstance(part, Masks):
            return part if self._holds(part.blob) else self._masks(part.blob.read())
        if isinstance(part, Latent):
            return self._latent(part)
        if isinstance(part, Text):
            return Text(plain.check_text(part.value))
        return self._takers[port_type.kind](part.value)

    def _holds(self, blob: Blob) -> bool:
        return blob.place is self._store and self._store.hold(blob.digest)

    def _from_path(self, path: Path, port_type: PortType) -> Part:
        match port_type.kind:
            case "image":
                return self._image(read_file(path, pictures.MOST_BYTES))
            case "audio":
                return self._stored_sound(sounds.read_sound(path))
            case "masks":
                return self._masks(read_file(path, arrays.MOST_MASK_BYTES + 4096))
            case "latent":
                return self._latent_file(read_file(path, latents.MOST_BYTES), port_type)
            case "data" | "boxes" | "points" | "segments":
                text = plain.decode_text(read_file(path, plain.MOST_JSON_BYTES), plain.MOST_JSON_BYTES)
                return self._takers[port_type.kind](plain.parse_json(text))
            case "number":
                return Number(plain.number_from_text(plain.decode_text(read_file(path, 4096)).strip()))
            case "flag":
                return Flag(plain.flag_from_text(plain.decode_text(read_file(path, 4096)).strip()))
            case _:
                return Text(plain.decode_text(read_file(path, plain.MOST_TEXT_BYTES)))

    def _text(self, value: object) -> Part:
        if not isinstance(value, str):
            raise CallerError(f"is {_named(value)}; give text")
        return Text(plain.check_text(value))

    def _data(self, value: object) -> Part:
        return Data(plain.check_json(value.tolist() if isinstance(value, np.ndarray) else value))

    def _image(self, value: object) -> Part:
        if isinstance(value, bytes):
            picture = pictures.read_picture(value)
        elif isinstance(value, PillowImage.Image):
            picture = pictures.take_picture(value)
        elif _is_array(value):
            picture = pictures.picture_from_array(value)
        else:
            raise CallerError(f"is {_named(value)}; give a path, a file's bytes, a Pillow image or a uint8 array")
        return Image(self._store.put(picture.data, picture.media_type), picture.width, picture.height)

    def _audio(self, value: object) -> Part:
        if isinstance(value, bytes):
            return self._stored_sound(sounds.read_sound(value))
        if _is_tuple(value) and len(value) == 2:
            return self._stored_sound(sounds.take_samples(value[0], value[1]))
        raise CallerError(f"is {_named(value)}; give a path, a file's bytes or (samples, rate in Hz)")

    def _stored_sound(self, sound: sounds.Sound) -> Part:
        blob = self._store.put(media.encode_wav(sound.samples, sound.rate_hz), "audio/wav")
        return Audio(blob, len(sound.samples) / sound.rate_hz, sound.rate_hz)

    def _masks(self, value: object) -> Part:
        masks = arrays.read_masks(value) if isinstance(value, bytes) else arrays.take_masks(value)
        count, height, width = masks.shape
        return Masks(self._store.put(media.encode_masks(masks), "application/x-npy"), count, height, width)

    def _latent_file(self, data: bytes, port_type: PortType) -> Part:
        tensor = latents.read_latent(data)
        if tensor.space != port_type.space:
            raise CallerError(f"is a latent of space {tensor.space!r}; give {_wanted(port_type)}")
        blob = self._store.put(tensor.data, "application/octet-stream")
        return Latent(
            tensor.space,
            tensor.weights,
            tensor.shape,
            tensor.dtype,
            blob,
            tensor.twin,
            runtime=tensor.runtime,
            chunks=tensor.chunks,
            made_by=tensor.made_by,
        )

    def _latent(self, value: object) -> Part:
        if not isinstance(value, Latent):
            raise CallerError(f"is {_named(value)}; give a file that `save` wrote, or a part")
        data = value.blob.read()
        latents.check_tensor(data, value.shape, value.dtype)
        if self._holds(value.blob):
            return value
        blob = self._store.put(data, "application/octet-stream")
        rows = value.rows and self._store.put(value.rows.read(), value.rows.media_type)
        return msgspec.structs.replace(value, blob=blob, rows=rows, rung="", frame=None)


@contextmanager
def _about(what: str) -> Generator[None]:
    """Says of a refusal what it is about: `input picture`, then the file."""
    try:
        yield
    except CallerError as error:
        mark = ": " if what.startswith("input ") and not str(error).startswith(_VERBS) else " "
        raise type(error)(f"{what}{mark}{error}") from error


_VERBS = ("is ", "has ", "holds ", "takes ", "nests ", "cannot ")
"""How a refusal of the value itself begins; others begin with the file or element that they are about."""


def _path_in(text: str) -> Path | None:
    """The path in `@PATH`; None where the text stands for itself."""
    if not text.startswith("@") or text.startswith("@@"):
        return None
    return Path(plain.check_text(text[1:])).expanduser()


def _is_array(value: object) -> TypeGuard[np.ndarray[Any, Any]]:
    return isinstance(value, np.ndarray)


def _is_tuple(value: object) -> TypeGuard[tuple[object, ...]]:
    return isinstance(value, tuple)


def _check_length(count: int) -> None:
    if count > MOST_ITEMS:
        raise CallerError(f"has {count:,} elements; the most is {MOST_ITEMS:,}")


def _wanted(port_type: PortType) -> str:
    if port_type.is_list:
        return f"a list ([{port_type.kind}])"
    plural = port_type.kind in ("masks", "boxes", "points", "segments", "text", "data", "audio")
    article = "" if plural else "an " if port_type.kind == "image" else "a "
    return f"{article}{port_type.kind}" + (f" of space {port_type.space}" if port_type.space else "")


def _named(value: object) -> str:
    if isinstance(value, _PARTS):
        return f"{value.kind}" + (f" of space {value.space}" if isinstance(value, Latent) else "")
    return f"a {type(value).__name__}"
