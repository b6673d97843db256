"""Pictures from outside: known by their content, measured before they are decoded."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)
from PIL import Image as PillowImage

from sensorium import media
from sensorium.errors import CallerError

__all__ = ["MOST_BYTES", "MOST_FRAMES", "MOST_PIXELS", "Picture", "picture_from_array", "read_picture", "take_picture"]

MOST_PIXELS = 40_000_000
MOST_FRAMES = 32
MOST_BYTES = 256 << 20
_LEAST_SIDE = 2

_FORMATS = "PNG, JPEG, WebP, GIF, BMP or TIFF"
_OPENERS: Mapping[str, Callable[[io.BytesIO], ImageFile.ImageFile]] = {
    "PNG": PngImagePlugin.PngImageFile,
    "JPEG": JpegImagePlugin.JpegImageFile,
    "WebP": WebPImagePlugin.WebPImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
}
_KEPT = {"PNG": "image/png", "JPEG": "image/jpeg", "WebP": "image/webp"}
"""Formats whose bytes are stored as they came, with their media types; the others become PNG."""


class Picture(NamedTuple):
    """A picture that may come in."""

    data: bytes
    media_type: str
    width: int
    height: int


def read_picture(data: bytes) -> Picture:
    """The picture in a file's bytes, its first frame where it has several.

    Raises:
        CallerError: The bytes are no picture of a known format, are damaged or cut short, or pass a limit.
    """
    kind = _sniff(data)
    if kind is None:
        what = "empty" if not data else "text" if _looks_like_text(data) else "of no known picture format"
        raise CallerError(f"is {what}, not a picture; give {_FORMATS}")
    _check_header(data, kind)
    try:
        image = media.decode_image(data)
    except Exception as error:  # decoders raise all sorts on hostile bytes
        raise CallerError(f"is a damaged {kind} file ({_first_line(error)}); give a whole one") from error
    media_type = _KEPT.get(kind)
    if media_type is None:
        data, media_type = media.encode_png(image), "image/png"
    return Picture(data, media_type, image.width, image.height)


def take_picture(image: PillowImage.Image) -> Picture:
    """A Pillow image, upright, as PNG.

    Raises:
        CallerError: It is damaged or passes a limit.
    """
    _check_size(image.width, image.height)
    target = io.BytesIO()
    try:
        plain = image if image.mode in ("L", "RGB", "RGBA", "P", "1", "LA", "I;16", "I") else image.convert("RGB")
        plain.save(target, format="PNG", compress_level=1, exif=image.getexif())
        upright = media.decode_image(target.getvalue())
    except Exception as error:  # an image that is opened lazily fails only now, in whatever way its decoder does
        raise CallerError(f"cannot be read ({_first_line(error)}); give a whole picture") from error
    return Picture(media.encode_png(upright), "image/png", upright.width, upright.height)


def picture_from_array(array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Picture:
    """A picture from uint8 [height, width] or [height, width, 1, 3 or 4].

    Raises:
        CallerError: The array is no such thing.
    """
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        shape = "x".join(map(str, array.shape))
        raise CallerError(
            f"is an array {shape} of {array.dtype}; a picture is uint8 [height, width], or [height, width, 3 or 4]"
        )
    _check_size(array.shape[1], array.shape[0])
    return take_picture(PillowImage.fromarray(np.ascontiguousarray(array)))


def _sniff(data: bytes) -> str | None:
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return "GIF"
    if data.startswith(b"BM"):
        return "BMP"
    return "TIFF" if data[:4] in (b"II*\0", b"MM\0*") else None


def _looks_like_text(data: bytes) -> bool:
    try:
        return b"\0" not in data[:512] and bool(data[:512].decode("utf-8", "strict"))
    except UnicodeDecodeError as error:
        return error.start > 500


def _check_header(data: bytes, kind: str) -> None:
    try:
        with _OPENERS[kind](io.BytesIO(data)) as header:
            width, height = header.size
            num_frames = _count_frames(header, data, kind)
    except Exception as error:  # decoders raise all sorts on hostile bytes
        raise CallerError(f"is a damaged {kind} file ({_first_line(error)}); give a whole one") from error
    _check_size(width, height)
    if num_frames > MOST_FRAMES:
        raise CallerError(f"has more than {MOST_FRAMES} frames; give a picture, or a shorter animation")


def _check_size(width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        raise CallerError(
            f"has {width} x {height} pixels, {width * height / 1e6:.0f} million; the most is "
            f"{MOST_PIXELS // 1_000_000} million: make it smaller"
        )
    if min(width, height) < _LEAST_SIDE:
        raise CallerError(f"has {width} x {height} pixels; a picture has at least {_LEAST_SIDE} each way")


def _count_frames(header: ImageFile.ImageFile, data: bytes, kind: str) -> int:
    """Frames, counted no further than one past the limit, and none of them decoded."""
    if kind == "GIF":
        return _count_gif_frames(data)
    if kind == "TIFF":
        try:
            header.seek(MOST_FRAMES)
        except EOFError:
            return 1
        return MOST_FRAMES + 1
    return int(getattr(header, "n_frames", 1))


def _count_gif_frames(data: bytes) -> int:
    """Image descriptors in a GIF. Source: CompuServe, Graphics Interchange Format, version 89a, sections 17 to 27."""
    position, num_frames = 13 + _colour_table_bytes(data[10]), 0
    while position < len(data) and num_frames <= MOST_FRAMES:
        if data[position] == 0x2C and position + 10 < len(data):
            num_frames += 1
            position = _past_blocks(data, position + 11 + _colour_table_bytes(data[position + 9]))
        elif data[position] == 0x21:
            position = _past_blocks(data, position + 2)
        else:
            break
    return num_frames


def _colour_table_bytes(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _past_blocks(data: bytes, position: int) -> int:
    while position < len(data) and data[position]:
        position += data[position] + 1
    return position + 1


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:200]
