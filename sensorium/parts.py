"""What travels between nodes: small frozen parts. Media lie in the store; a part refers to them by digest.

A port's value is a part, a tuple of parts (a list port), or None (an optional port, or a node that was skipped).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeAlias, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from sensorium import media

__all__ = [
    "Audio",
    "Blob",
    "BlobPlace",
    "Boxes",
    "Data",
    "Flag",
    "Image",
    "Latent",
    "Masks",
    "Number",
    "Part",
    "Points",
    "Segment",
    "Segments",
    "Text",
    "Value",
    "blobs_of",
    "decode_values",
    "encode_values",
    "values_digest",
]


class BlobPlace(Protocol):
    """Where bytes lie under their digest."""

    def read(self, digest: str) -> bytes:
        """The bytes, checked against their digest.

        Raises:
            OperatorError: They are not there, or are not what the digest says.
        """
        ...

    def path(self, digest: str) -> Path:
        """The file that holds the bytes; it may be read, never written."""
        ...


class Blob:
    """A reference to bytes in a store. Two references to the same bytes are equal."""

    __slots__ = ("digest", "media_type", "place", "size_bytes")

    def __init__(self, digest: str, size_bytes: int, media_type: str, place: BlobPlace) -> None:
        self.digest = digest
        self.size_bytes = size_bytes
        self.media_type = media_type
        self.place = place

    def read(self) -> bytes:
        """The bytes, checked against their digest."""
        return self.place.read(self.digest)

    @property
    def path(self) -> Path:
        """The file that holds the bytes; it may be read, never written."""
        return self.place.path(self.digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Blob) and other.digest == self.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"Blob({self.digest[:12]}…, {self.size_bytes} bytes, {self.media_type})"


class _Part(msgspec.Struct, frozen=True, tag_field="type"):
    kind: ClassVar[str]


class Text(_Part, frozen=True, tag="text"):
    """Words."""

    kind = "text"
    value: str

    def __str__(self) -> str:
        return self.value


class Number(_Part, frozen=True, tag="number"):
    """One finite number."""

    kind = "number"
    value: float

    def __str__(self) -> str:
        return f"{self.value:g}"


class Flag(_Part, frozen=True, tag="flag"):
    """True or false."""

    kind = "flag"
    value: bool

    def __str__(self) -> str:
        return "true" if self.value else "false"


class Data(_Part, frozen=True, tag="data"):
    """Any JSON value."""

    kind = "data"
    value: Any

    def __str__(self) -> str:
        return msgspec.json.encode(self.value).decode()


class Boxes(_Part, frozen=True, tag="boxes"):
    """Boxes on a picture, each x0 y0 x1 y1 in pixels."""

    kind = "boxes"
    value: tuple[tuple[float, float, float, float], ...]

    def __str__(self) -> str:
        return msgspec.json.encode(self.value).decode()

    def load(self) -> npt.NDArray[np.float32]:
        """Float32 [n, 4]."""
        return np.asarray(self.value, dtype=np.float32).reshape(-1, 4)


class Points(_Part, frozen=True, tag="points"):
    """Points on a picture, each x y in pixels."""

    kind = "points"
    value: tuple[tuple[float, float], ...]

    def __str__(self) -> str:
        return msgspec.json.encode(self.value).decode()

    def load(self) -> npt.NDArray[np.float32]:
        """Float32 [n, 2]."""
        return np.asarray(self.value, dtype=np.float32).reshape(-1, 2)


class Segment(msgspec.Struct, frozen=True, array_like=True):
    """A stretch of text with its time."""

    start_s: float
    end_s: float
    text: str


class Segments(_Part, frozen=True, tag="segments"):
    """Timed text."""

    kind = "segments"
    value: tuple[Segment, ...]

    def __str__(self) -> str:
        return " ".join(segment.text.strip() for segment in self.value)


class Image(_Part, frozen=True, tag="image"):
    """A picture, in the file format that it came in."""

    kind = "image"
    blob: Blob
    width: int
    """Pixels, upright."""
    height: int
    """Pixels, upright."""

    def open(self) -> PillowImage.Image:
        """The picture, upright, in mode L, RGB or RGBA."""
        return media.decode_image(self.blob.read())

    def save(self, path: str | Path) -> None:
        """Writes the picture in the format that the ending of `path` names."""
        self.open().save(path)


class Audio(_Part, frozen=True, tag="audio"):
    """Mono sound, stored as a WAVE file of 32-bit floats."""

    kind = "audio"
    blob: Blob
    seconds: float
    rate_hz: int

    def load(self) -> npt.NDArray[np.float32]:
        """Samples, float32 [frames], -1 to 1, at `rate_hz`."""
        return media.decode_wav(self.blob.read())[0]

    def save(self, path: str | Path) -> None:
        """Writes a .wav file of 32-bit floats."""
        Path(path).write_bytes(self.blob.read())


class Masks(_Part, frozen=True, tag="masks"):
    """Masks over a picture, stored as a .npy file of bool [count, height, width]."""

    kind = "masks"
    blob: Blob
    count: int
    height: int
    width: int

    def load(self) -> npt.NDArray[np.bool_]:
        """Bool [count, height, width]."""
        return media.decode_masks(self.blob.read())

    def previews(self) -> list[PillowImage.Image]:
        """One black and white picture for each mask."""
        return [PillowImage.fromarray(mask.astype(np.uint8) * 255) for mask in self.load()]

    def save(self, path: str | Path) -> None:
        """Writes `.npy` as bool [count, height, width], else one black and white picture of all masks together."""
        target = Path(path)
        if target.suffix == ".npy":
            target.write_bytes(self.blob.read())
        else:
            PillowImage.fromarray(self.load().any(axis=0).astype(np.uint8) * 255).save(target)


class Latent(_Part, frozen=True, tag="latent"):
    """A tensor that one model made and another can read."""

    kind = "latent"
    space: str
    """Name of the space, such as `see.patches`: which model, and where in it the tensor was taken."""
    weights: str
    """Identity of the weights that made it: of a language model as it was loaded, or of a tool's checkpoints."""
    shape: tuple[int, ...]
    dtype: str
    """A key of `media.TENSOR_DTYPES`."""
    blob: Blob
    twin: str | None = None
    """Text that says the same, for people, for audit, for fallback."""
    runtime: str = ""
    """What computed it: runtime, element type and kind of device. Equal where bit-equality is claimed."""
    chunks: int = 0
    """Tokens that were read at once, the prefill grid; 0 where that means nothing."""
    checkpoint: str = ""
    """Digest of the files of the checkpoint that made it; empty where it is not told."""
    made_by: str = ""
    """Role of the language model that made it; empty for a tool's."""
    rung: str = ""
    """How it goes to its reader, such as `kv`; empty until that is settled."""
    frame: Blob | None = None
    """The sealed frame in which it goes there."""
    rows: Blob | None = None
    """Of space `lm.context`: the sealed frame of rows that came to its maker by a bridge."""

    def load(self) -> npt.NDArray[Any]:
        """The array, of `shape` and `dtype`."""
        return media.decode_tensor(self.blob.read(), self.shape, self.dtype)


Part: TypeAlias = Text | Number | Flag | Data | Boxes | Points | Segments | Image | Audio | Masks | Latent
Value: TypeAlias = Part | tuple[Part | None, ...] | None
"""What a port holds."""

BlobHolder = TypeVar("BlobHolder", Image, Audio, Masks, Latent)


def _encode_blob(thing: object) -> object:
    if isinstance(thing, Blob):
        return [thing.digest, thing.size_bytes, thing.media_type]
    raise NotImplementedError(f"{type(thing).__name__} is not a part")


_encoder = msgspec.msgpack.Encoder(enc_hook=_encode_blob, order="sorted")


def encode_values(values: dict[str, Value]) -> bytes:
    """MessagePack of named values, blobs as digest, size and media type. Equal values, equal bytes."""
    return _encoder.encode(values)


def decode_values(data: bytes, place: BlobPlace) -> dict[str, Value]:
    """The values that `encode_values` wrote, their blobs bound to `place`.

    Raises:
        msgspec.ValidationError: The bytes hold something else.
    """

    def bind(kind: type, thing: Any) -> object:
        digest, size_bytes, media_type = thing
        return Blob(str(digest), int(size_bytes), str(media_type), place)

    try:
        return msgspec.msgpack.decode(data, type=dict[str, Part | tuple[Part | None, ...] | None], dec_hook=bind)
    except (UnicodeDecodeError, OverflowError, RecursionError) as error:  # msgspec lets these pass
        raise msgspec.ValidationError(f"no values: {error}") from error


def blobs_of(values: Mapping[str, Value]) -> Iterator[Blob]:
    """The blobs that named values refer to, those of lists too."""
    for value in values.values():
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, Image | Audio | Masks | Latent):
                yield part.blob
            if isinstance(part, Latent):
                yield from (blob for blob in (part.frame, part.rows) if blob is not None)


def values_digest(values: dict[str, Value]) -> str:
    """SHA-256 in hexadecimal of named values; media count by the digest of their bytes."""
    return hashlib.sha256(encode_values(values)).hexdigest()
