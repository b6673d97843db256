"""A Whisper checkpoint of CTranslate2 as one of openai-whisper: the same numbers under the other library's names.

CTranslate2 stacks the projections of attention (query, key, value) into one matrix; openai-whisper keeps them apart.
Nothing is computed: every value is copied in its stored type, so both libraries run the same weights.

Formats: the binary layout is that of CTranslate2's `ModelSpec.save` (version 6: little-endian, names end in a zero
byte); the target is the `{"dims", "model_state_dict"}` dictionary that `whisper.load_model` reads.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from sensorium.errors import OperatorError

__all__ = ["convert", "read_variables", "state_dict"]

Array = npt.NDArray[np.generic]
Variables = dict[str, Array]

_MODEL_FILE = "model.bin"
_FORMAT_VERSION = 6
_SPEC = "WhisperSpec"
_DTYPES = (np.float32, np.int8, np.int16, np.int32, np.float16)
_SIZES = {384: "tiny", 512: "base", 768: "small", 1024: "medium", 1280: "large"}
_ENGLISH_ONLY_VOCABULARY = 51864
_ATTENTION = {"self_attention": "attn", "attention": "cross_attn"}


def convert(source: Path, target: Path) -> None:
    """Writes `target/NAME.pt`, for example `tiny.en.pt`, from the CTranslate2 checkpoint in the directory `source`.

    The file appears whole or not at all.

    Raises:
        OperatorError: `source` holds no Whisper checkpoint of CTranslate2 with float weights, or a damaged one.
    """
    variables = read_variables(source / _MODEL_FILE)
    dims = _dims(variables)
    checkpoint = {"dims": dims, "model_state_dict": state_dict(variables, dims)}
    target.mkdir(parents=True, exist_ok=True)
    path = target / _file_name(dims)
    partial = path.with_suffix(".partial")
    try:
        torch.save(checkpoint, partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def read_variables(path: Path) -> Variables:
    """Every tensor of a CTranslate2 model file by name, in its stored shape and dtype; aliases stand under both names.

    Raises:
        OperatorError: the file is missing, damaged, of another version, or not a Whisper model.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return _parse(_Cursor(content, path))
    except (FileNotFoundError, ValueError) as error:
        raise OperatorError(f"{path}: no CTranslate2 model can be read here ({error})") from error


def state_dict(variables: Variables, dims: dict[str, int]) -> dict[str, torch.Tensor]:
    """The tensors under openai-whisper's names. `dims` is the `ModelDimensions` of that library as a dictionary."""
    named: Variables = {}
    for side, layers in (("encoder", dims["n_audio_layer"]), ("decoder", dims["n_text_layer"])):
        for layer in range(layers):
            named |= _block(variables, f"{side}/layer_{layer}/", f"{side}.blocks.{layer}.")
    named |= _outer(variables)
    return {name: _tensor_of(array) for name, array in named.items()}


def _tensor_of(array: Array) -> torch.Tensor:
    contiguous = np.ascontiguousarray(array)
    return torch.from_numpy(contiguous)  # pyright: ignore[reportUnknownMemberType]  # torch leaves it untyped


@dataclass(slots=True)
class _Cursor:
    """Reads little-endian values one after another; refuses to read past the end."""

    content: mmap.mmap
    path: Path
    position: int = field(default=0)

    def take(self, num_bytes: int) -> bytes:
        end = self.position + num_bytes
        if end > len(self.content):
            raise OperatorError(f"{self.path}: the file ends after {len(self.content):,} bytes, {end:,} are needed")
        taken = self.content[self.position : end]
        self.position = end
        return taken

    def number(self, code: str) -> int:
        (value,) = struct.unpack("<" + code, self.take(struct.calcsize(code)))
        return int(value)

    def text(self) -> str:
        return self.take(self.number("H")).rstrip(b"\0").decode()


def _parse(cursor: _Cursor) -> Variables:
    version, spec = cursor.number("I"), cursor.text()
    if version != _FORMAT_VERSION or spec != _SPEC:
        raise OperatorError(
            f"{cursor.path}: {spec or 'nothing'} in format {version}; a {_SPEC} in format {_FORMAT_VERSION} is needed"
        )
    cursor.number("I")  # revision of the spec: adds scalars only, no tensor that is read here
    variables = dict(_tensor(cursor) for _ in range(cursor.number("I")))
    for _ in range(cursor.number("I")):
        alias, name = cursor.text(), cursor.text()
        variables[alias] = _get(variables, name)
    return variables


def _tensor(cursor: _Cursor) -> tuple[str, Array]:
    name = cursor.text()
    shape = tuple(cursor.number("I") for _ in range(cursor.number("B")))
    code, num_bytes = cursor.number("B"), cursor.number("I")
    if code >= len(_DTYPES):
        raise OperatorError(f"{cursor.path}: {name} has the unknown element type {code}")
    dtype = np.dtype(_DTYPES[code])
    if num_bytes != dtype.itemsize * int(np.prod(shape, dtype=np.int64)):
        raise OperatorError(f"{cursor.path}: {name} of shape {shape} and type {dtype} cannot take {num_bytes:,} bytes")
    return name, np.frombuffer(bytearray(cursor.take(num_bytes)), dtype).reshape(shape)


def _get(variables: Variables, name: str) -> Array:
    if name not in variables:
        raise OperatorError(f"{name} is missing from the CTranslate2 model; is it a complete Whisper checkpoint?")
    return variables[name]


def _weights(variables: Variables, name: str) -> Array:
    array = _get(variables, name)
    if array.dtype.kind != "f":
        raise OperatorError(f"{name} is quantised to {array.dtype}; convert from a float16 or float32 checkpoint")
    return array


def _pair(variables: Variables, source: str, target: str, *, norm: bool = False) -> Iterator[tuple[str, Array]]:
    first, second = ("gamma", "beta") if norm else ("weight", "bias")
    yield f"{target}.weight", _weights(variables, f"{source}/{first}")
    yield f"{target}.bias", _weights(variables, f"{source}/{second}")


def _outer(variables: Variables) -> Variables:
    named: Variables = {
        "encoder.positional_embedding": _weights(variables, "encoder/position_encodings/encodings"),
        "decoder.positional_embedding": _weights(variables, "decoder/position_encodings/encodings"),
        "decoder.token_embedding.weight": _weights(variables, "decoder/embeddings/weight"),
    }
    named |= _pair(variables, "encoder/conv1", "encoder.conv1")
    named |= _pair(variables, "encoder/conv2", "encoder.conv2")
    named |= _pair(variables, "encoder/layer_norm", "encoder.ln_post", norm=True)
    named |= _pair(variables, "decoder/layer_norm", "decoder.ln", norm=True)
    return named


def _block(variables: Variables, source: str, target: str) -> Variables:
    named = dict(_pair(variables, f"{source}ffn/layer_norm", f"{target}mlp_ln", norm=True))
    named |= _pair(variables, f"{source}ffn/linear_0", f"{target}mlp.0")
    named |= _pair(variables, f"{source}ffn/linear_1", f"{target}mlp.2")
    for theirs, ours in _ATTENTION.items():
        if f"{source}{theirs}/linear_0/weight" in variables:
            named |= _pair(variables, f"{source}{theirs}/layer_norm", f"{target}{ours}_ln", norm=True)
            named |= _attention(variables, f"{source}{theirs}/", f"{target}{ours}.")
    return named


def _attention(variables: Variables, source: str, target: str) -> Variables:
    """Stacked projections taken apart: query, key, value in self attention; query, then key and value across."""
    matrices = [_weights(variables, f"{source}linear_{index}/weight") for index in (0, 1)]
    biases = [_weights(variables, f"{source}linear_{index}/bias") for index in (0, 1)]
    if f"{source}linear_2/weight" in variables:
        matrices.append(_weights(variables, f"{source}linear_2/weight"))
        biases.append(_weights(variables, f"{source}linear_2/bias"))
    matrix, bias = np.concatenate(matrices), np.concatenate(biases)
    if len(matrix) % 4 or len(bias) != len(matrix):
        raise OperatorError(f"{source}: projections of {len(matrix)} rows are not those of Whisper's attention")
    named: Variables = {}
    for name, rows, offset in zip(
        ("query", "key", "value", "out"), np.split(matrix, 4), np.split(bias, 4), strict=True
    ):
        named[f"{target}{name}.weight"] = rows
        if name != "key":
            named[f"{target}{name}.bias"] = offset
        elif np.any(offset):
            raise OperatorError(f"{source}: the key projection has a bias, which Whisper's has not")
    return named


def _dims(variables: Variables) -> dict[str, int]:
    audio_ctx, audio_state = _get(variables, "encoder/position_encodings/encodings").shape
    text_ctx, text_state = _get(variables, "decoder/position_encodings/encodings").shape
    return {
        "n_mels": _get(variables, "encoder/conv1/weight").shape[1],
        "n_audio_ctx": audio_ctx,
        "n_audio_state": audio_state,
        "n_audio_head": int(_get(variables, "encoder/num_heads")),
        "n_audio_layer": _num_layers(variables, "encoder"),
        "n_vocab": _get(variables, "decoder/embeddings/weight").shape[0],
        "n_text_ctx": text_ctx,
        "n_text_state": text_state,
        "n_text_head": int(_get(variables, "decoder/num_heads")),
        "n_text_layer": _num_layers(variables, "decoder"),
    }


def _num_layers(variables: Variables, side: str) -> int:
    return len({name.split("/")[1] for name in variables if name.startswith(f"{side}/layer_") and name.count("/") > 2})


def _file_name(dims: dict[str, int]) -> str:
    size = _SIZES.get(dims["n_audio_state"], "whisper")
    return f"{size}.en.pt" if dims["n_vocab"] == _ENGLISH_ONLY_VOCABULARY else f"{size}.pt"
