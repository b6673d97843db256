"""Outputs of a run as files, and as JSON that names them."""

from __future__ import annotations

import json
import os
import re
import struct
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sensorium import media
from sensorium.admit.latents import TENSOR_NAMES
from sensorium.errors import OperatorError
from sensorium.parts import Audio, Blob, Boxes, Image, Latent, Masks, Part, Points, Segments, Text, Value
from sensorium.spec.ports import PortType

__all__ = ["Saved", "describe", "save_outputs"]

_ENDINGS = {"image/jpeg": "jpg", "image/webp": "webp"}


@dataclass(frozen=True, slots=True)
class Saved:
    """The files of one output."""

    path: Path | None = None
    """The file of a part; None where it has none, or for a list."""
    previews: tuple[Path, ...] = ()
    """A picture of each mask."""
    items: tuple[Saved, ...] = field(default=())
    """The files of a list's elements."""

    @property
    def paths(self) -> list[Path]:
        """Every file, in order."""
        own = [] if self.path is None else [self.path]
        return [*own, *self.previews, *(path for item in self.items for path in item.paths)]


def save_outputs(outputs: Mapping[str, Value], folder: Path) -> dict[str, Saved]:
    """Writes the media among `outputs` below `folder`, and removes numbered files of the same names from before.

    Raises:
        OperatorError: The folder cannot be written, or media are missing from the store.
    """
    for port, value in outputs.items():
        if isinstance(value, tuple | Masks):
            _remove_numbered(folder, port)
    return {port: _save(value, folder, port) for port, value in outputs.items()}


def describe(value: Value, kind: PortType, saved: Saved | None) -> dict[str, Any] | None:
    """An output as JSON.

    Media are named by the files in `saved`, or by those in the store where it is None; a file that is gone from there
    is null.
    """
    if value is None:
        return None
    if isinstance(value, tuple):
        items = saved.items if saved is not None else (None,) * len(value)
        described = [describe(part, kind.item, one) for part, one in zip(value, items, strict=True)]
        return {"type": f"[{kind.item}]", "items": described}
    match value:
        case Text():
            return {"type": "text", "text": value.value}
        case Boxes() | Points():
            return {"type": value.kind, "value": [list(row) for row in value.value]}
        case Segments():
            return {"type": "segments", "value": [[one.start_s, one.end_s, one.text] for one in value.value]}
        case Image() | Audio():
            return {"type": value.kind, "path": _named(value.blob, saved)}
        case Masks():
            previews = [str(path) for path in saved.previews] if saved is not None else []
            return {"type": "masks", "path": _named(value.blob, saved), "previews": previews}
        case Latent():
            told = {"type": str(kind.item), "path": _named(value.blob, saved), "shape": list(value.shape)}
            return {**told, "dtype": value.dtype, "twin": value.twin}
        case _:
            return {"type": value.kind, "value": value.value}


def _remove_numbered(folder: Path, port: str) -> None:
    """Removes what an earlier result has written of a list or of masks: there may be fewer now."""
    numbered = re.compile(rf"{re.escape(port)}(-\d{{3}})+\.(png|jpg|webp|wav|npy|safetensors)")
    try:
        for path in [path for path in folder.glob("*") if numbered.fullmatch(path.name)]:
            path.unlink()
    except OSError as error:
        raise OperatorError(f"{folder} cannot be written: {error.strerror or error}; give another folder") from error


def _named(blob: Blob, saved: Saved | None) -> str | None:
    """The file; None where it is gone from the store."""
    if saved is not None and saved.path is not None:
        return str(saved.path)
    try:
        return str(blob.path)
    except OperatorError:
        return None


def _save(value: Value, folder: Path, name: str) -> Saved:
    if isinstance(value, tuple):
        return Saved(items=tuple(_save(part, folder, f"{name}-{index:03d}") for index, part in enumerate(value)))
    return Saved() if value is None else _save_part(value, folder, name)


def _save_part(part: Part, folder: Path, name: str) -> Saved:
    match part:
        case Image():
            return Saved(_write(folder / f"{name}.{_ENDINGS.get(part.blob.media_type, 'png')}", part.blob.read()))
        case Audio():
            return Saved(_write(folder / f"{name}.wav", part.blob.read()))
        case Masks():
            path = _write(folder / f"{name}.npy", part.blob.read())
            previews = enumerate(part.previews())
            return Saved(
                path,
                tuple(_write(folder / f"{name}-{index:03d}.png", media.encode_png(one)) for index, one in previews),
            )
        case Latent():
            return Saved(_write(folder / f"{name}.safetensors", b"".join(_safetensors(part))))
        case _:
            return Saved()


def _safetensors(latent: Latent) -> Iterator[bytes]:
    """One tensor named `latent`. Source: the safetensors format's README, "Format"."""
    data = latent.blob.read()
    told = {
        "space": latent.space,
        "weights": latent.weights,
        "twin": latent.twin or "",
        "runtime": latent.runtime,
        "chunks": str(latent.chunks),
        "made_by": latent.made_by,
    }
    tensor = {"dtype": TENSOR_NAMES[latent.dtype], "shape": list(latent.shape), "data_offsets": [0, len(data)]}
    header = json.dumps({"__metadata__": told, "latent": tensor}).encode()
    header += b" " * (-len(header) % 8)
    yield struct.pack("<Q", len(header))
    yield header
    yield data


def _write(path: Path, data: bytes) -> Path:
    """Writes a file whole or not at all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=".new-", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as target:
                target.write(data)
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise
    except OSError as error:
        raise OperatorError(f"{path} cannot be written: {error.strerror or error}; give another folder") from error
    return path
