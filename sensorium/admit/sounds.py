"""Sound from outside: its header is held against the file before anything is decoded."""

from __future__ import annotations

import io
import struct
from numbers import Real
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import soundfile  # pyright: ignore[reportMissingTypeStubs] - it has none

from sensorium import media
from sensorium.admit.files import size_of
from sensorium.errors import CallerError

__all__ = ["MOST_BYTES", "MOST_SECONDS", "Sound", "read_sound", "take_samples"]

MOST_SECONDS = 4 * 3600
MOST_BYTES = 4 << 30
_MOST_FRAMES = MOST_SECONDS * 48_000
_LEAST_RATE_HZ, _MOST_RATE_HZ = 1_000, 384_000
_MOST_CHANNELS = 32
_LOUDEST = 16.0
"""Full scale is 1; a decoder overshoots a little, samples in another unit by far."""
_BLOCK_FRAMES = 1 << 20
_FORMATS = {"WAV", "WAVEX", "FLAC", "OGG", "MP3"}
_COUNTED = {"WAV", "WAVEX", "FLAC"}
"""Formats whose header says exactly how many frames follow."""
_NAMES = "wav, flac, ogg or mp3"
_UNKNOWN_SIZE = 0xFFFFFFFF
"""What a program that writes to a pipe puts where the size belongs."""

Samples = npt.NDArray[np.float32]


class Sound(NamedTuple):
    """Sound that may come in."""

    samples: Samples
    """Mono, float32 [frames]."""
    rate_hz: int


def read_sound(source: Path | bytes) -> Sound:
    """The sound in a file, or in a file's bytes, mixed to mono, at the rate that it came in.

    Raises:
        CallerError: It is no sound of a known format, damaged, cut short, empty, or passes a limit.
    """
    if isinstance(source, Path):
        size_of(source, MOST_BYTES)
    elif not source:
        raise CallerError(f"is empty (0 bytes); give {_NAMES}")
    _check_riff(source)
    try:
        file = soundfile.SoundFile(str(source) if isinstance(source, Path) else io.BytesIO(source))
    except (soundfile.LibsndfileError, OSError, ValueError, TypeError) as error:
        raise CallerError(f"is not sound that can be read; give {_NAMES}") from error
    with file:
        if file.format not in _FORMATS:
            raise CallerError(f"is sound of format {file.format}; give {_NAMES}")
        _check_limits(file.frames, file.samplerate, file.channels)
        return _checked(_decode(file), file.samplerate)


def take_samples(samples: object, rate_hz: object) -> Sound:
    """Sound from samples [frames] or [frames, channels], float in -1 to 1 or int16, and a rate in Hz.

    Raises:
        CallerError: They are no such thing, or pass a limit.
    """
    if isinstance(rate_hz, bool) or not isinstance(rate_hz, Real) or float(rate_hz) % 1 != 0:
        raise CallerError(f"has the rate {rate_hz!r}; sound is (samples, rate in Hz), the rate a whole number")
    array: npt.NDArray[Any] = np.asarray(samples)
    if array.ndim not in (1, 2) or not (array.dtype == np.int16 or np.issubdtype(array.dtype, np.floating)):
        raise CallerError(
            f"has samples of shape {array.shape} and type {array.dtype}; sound is float in -1 to 1, or int16, as "
            "[frames] or [frames, channels]"
        )
    _check_limits(array.shape[0], int(float(rate_hz)), array.shape[1] if array.ndim == 2 else 1)
    scaled = array.astype(np.float32) / 32768 if array.dtype == np.int16 else array
    return _checked(media.to_mono(scaled), int(float(rate_hz)))


def _check_riff(source: Path | bytes) -> None:
    """Refuses a WAVE file whose header claims more sound than the file has."""
    head, size_bytes = _head(source)
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        return
    position = 12
    while position + 8 <= len(head):
        name, claimed = head[position : position + 4], struct.unpack_from("<I", head, position + 4)[0]
        if name == b"data":
            there = size_bytes - position - 8
            if claimed > there and claimed != _UNKNOWN_SIZE:
                raise CallerError(
                    f"is cut short: its header claims {claimed:,} bytes of sound, the file has {there:,}; "
                    "give a whole one"
                )
            return
        position += 8 + claimed + claimed % 2


def _head(source: Path | bytes) -> tuple[bytes, int]:
    if isinstance(source, bytes):
        return source[: 1 << 16], len(source)
    try:
        with source.open("rb") as file:
            return file.read(1 << 16), source.stat().st_size
    except OSError as error:
        raise CallerError(f"cannot be read ({error.strerror or error}); give a file that can be") from error


def _check_limits(num_frames: int, rate_hz: int, num_channels: int) -> None:
    if num_frames <= 0:
        raise CallerError("has no sound in it (0 seconds); give a recording")
    if not _LEAST_RATE_HZ <= rate_hz <= _MOST_RATE_HZ:
        raise CallerError(f"has a rate of {rate_hz:,} Hz; rates go from {_LEAST_RATE_HZ:,} to {_MOST_RATE_HZ:,}")
    if not 1 <= num_channels <= _MOST_CHANNELS:
        raise CallerError(f"has {num_channels} channels; give 1 to {_MOST_CHANNELS}")
    if num_frames > rate_hz * MOST_SECONDS or num_frames > _MOST_FRAMES:
        raise CallerError(
            f"is {num_frames / rate_hz / 3600:.1f} hours at {rate_hz:,} Hz; the most is {MOST_SECONDS // 3600} hours, "
            "at 48,000 Hz or less: cut it into pieces"
        )


def _decode(file: soundfile.SoundFile) -> Samples:
    blocks: list[Samples] = []
    num_frames = 0
    try:
        while len(block := file.read(_BLOCK_FRAMES, dtype="float32", always_2d=True)):
            num_frames += len(block)
            _check_limits(num_frames, file.samplerate, file.channels)
            blocks.append(media.to_mono(block))
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise CallerError("is damaged; give a whole file") from error
    if file.format in _COUNTED and num_frames < file.frames:
        raise CallerError(
            f"is cut short: its header claims {file.frames:,} frames, {num_frames:,} are there; give a whole file"
        )
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def _checked(samples: Samples, rate_hz: int) -> Sound:
    if not len(samples):
        raise CallerError("has no sound in it (0 seconds); give a recording")
    low, high = float(samples.min()), float(samples.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise CallerError("has samples that are not numbers (NaN or infinite); give finite ones")
    if max(-low, high) > _LOUDEST:
        raise CallerError(f"has samples up to {max(-low, high):g}; sound lies within -1 and 1")
    return Sound(samples, rate_hz)
