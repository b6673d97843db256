"""Prompts that hold what was computed before: frames in, frames out."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from blake3 import blake3

from sensorium.errors import CallerError, LatentError
from sensorium.latent.frame import Frame, FrameHead, Tensor, frame_key, open_frame, seal
from sensorium.latent.identity import Weight, identity
from sensorium.latent.recipe import CHUNK_TOKENS, CUT, THOUGHT, num_positions
from sensorium.latent.spaces import EMBEDS, KV, RECIPE, hidden_layer

from .pieces import Loaded, Piece, Rows, Thought, of_recipe, of_rows, of_tokens
from .reader import Reader

__all__ = ["Contexts"]

_CONTEXT = -16
"""In a recipe that is given out, entry `_CONTEXT - n` stands for the n-th frame of the prompt."""
_NAMES = {torch.bfloat16: "bfloat16", torch.float16: "float16", torch.float32: "float32"}


@dataclass(slots=True)
class Contexts:
    """What a model takes from frames and gives in them.

    Args:
        model: A causal language model of transformers.
        tokenizer: Its tokenizer.
        device: Where it is.
        limit: Most positions of a prompt.
    """

    model: Any
    tokenizer: Any
    device: str
    limit: int
    _weights: str = ""

    @property
    def weights(self) -> str:
        """BLAKE3 over each weight's name, element type, shape and bytes as loaded, and over the tokenizer."""
        if not self._weights:
            tensors = sorted(self.model.state_dict().items())
            weights = (Weight(name, str(one.dtype), tuple(one.shape), _bytes(one)) for name, one in tensors)
            self._weights = identity(weights, self.tokenizer.backend_tokenizer.to_str())
        return self._weights

    @property
    def runtime(self) -> str:
        """What computes: equal where equal bits are to be expected."""
        kind = torch.device(self.device).type
        return f"transformers {transformers.__version__}, torch {torch.__version__}, {kind}, {_NAMES[self.model.dtype]}"

    def told(self) -> dict[str, Any]:
        """Who this model is on a latent wire."""
        config = self.model.config
        heads = int(config.num_attention_heads)
        return {
            "weights": self.weights,
            "runtime": self.runtime,
            "chunks": CHUNK_TOKENS,
            "dtype": _NAMES[self.model.dtype],
            "width": int(config.hidden_size),
            "layers": int(config.num_hidden_layers),
            "kv_heads": int(getattr(config, "num_key_value_heads", None) or heads),
            "head_width": int(getattr(config, "head_dim", None) or config.hidden_size // heads),
            "rope": self._rope(),
        }

    def _rope(self) -> list[float]:
        turning = getattr(getattr(self.model.base_model, "rotary_emb", None), "inv_freq", None)
        return [] if turning is None else [float(step) for step in turning.double()]

    def pieces(self, segments: Sequence[str | int], frames: Sequence[Any]) -> list[Piece]:
        """The pieces of a prompt.

        Args:
            segments: Texts, each tokenised by itself, and numbers of frames.
            frames: Sealed frames, uint8 [bytes] each.

        Raises:
            LatentError: A frame is not one that this model can read.
            CallerError: A frame alone has more positions than a prompt may have.
        """
        made: list[Piece] = []
        for segment in segments:
            if isinstance(segment, str):
                made += of_tokens(self.tokenizer(segment, add_special_tokens=False)["input_ids"])
            else:
                made += self._opened(frames[segment], is_first=not made)
        if made and isinstance(made[0], Thought):
            raise LatentError("a recipe begins with a thought, and there is nothing before it to think about")
        return made

    def recipe(self, segments: Sequence[str | int], num_thoughts: int) -> np.ndarray[Any, np.dtype[np.int32]]:
        """What has to be done to hold the prompt again: segments with cuts between them, frames by their number."""
        entries: list[int] = []
        for segment in segments:
            if isinstance(segment, str):
                entries += [CUT, *self.tokenizer(segment, add_special_tokens=False)["input_ids"]]
            else:
                entries += [CUT, _CONTEXT - segment]
        return np.asarray([*entries[1:], *[THOUGHT] * num_thoughts], dtype=np.int32)

    def given(self, reader: Reader, pieces: Sequence[Piece], space: str) -> np.ndarray[Any, Any]:
        """A sealed frame of what pieces come to in a space, uint8 [bytes].

        Raises:
            LatentError: The model has no such space.
        """
        sizes = np.asarray([len(piece) for piece in pieces], dtype=np.int32)
        extra: dict[str, Tensor] = {}
        if space == KV:
            tensor = reader.keys_and_values(pieces)
        elif space == EMBEDS:
            tensor, extra = reader.rows(pieces), {"sizes": Tensor(sizes, "int32")}
        else:
            layer = hidden_layer(space)
            if layer is None or layer > int(self.model.config.num_hidden_layers):
                raise LatentError(f"this language model has no space {space!r}; it has {KV}, {EMBEDS} and lm.hidden[N]")
            tensor = reader.states(pieces, layer)
        head = FrameHead(
            space=space,
            weights=self.weights,
            runtime=self.runtime,
            positions=int(sizes.sum()),
            chunks=CHUNK_TOKENS,
        )
        sealed = seal(head, {"latent": _out(tensor), **extra}, self._key())
        return np.frombuffer(sealed, dtype=np.uint8)

    def _opened(self, data: Any, *, is_first: bool) -> Iterator[Piece]:
        frame = open_frame(memoryview(data).cast("B"), self._key())
        digest = blake3(memoryview(data)[-32:]).hexdigest()
        head = frame.head
        if head.weights != self.weights:
            raise LatentError(
                f"the frame of {head.space} is of the weights {head.weights[:12]}…, and this language model has "
                f"{self.weights[:12]}…; what one model holds means nothing to another"
            )
        if head.positions > self.limit:
            raise CallerError(
                f"the frame of {head.space} has {head.positions} positions, {head.positions - self.limit} more than "
                f"the {self.limit} of the model's context; send less or raise context_tokens in the profile"
            )
        if head.codec:
            raise LatentError(f"the frame is packed by {head.codec}; unpack it before it goes to a language model")
        if head.space == KV:
            if not is_first:
                raise LatentError("keys and values hold at the beginning of a prompt alone; send the recipe instead")
            self._check_bits(head)
            yield Loaded(digest, self._cache_of(frame))
        elif head.space == EMBEDS:
            yield from self._rows_of(frame, digest)
        elif head.space == RECIPE:
            yield from self._replayed(frame, digest)
        else:
            raise LatentError(f"a language model reads {KV}, {EMBEDS} and {RECIPE}, and the frame holds {head.space}")

    def _check_bits(self, head: FrameHead) -> None:
        """Nothing, where keys and values that lie as they were computed are those that this model would compute.

        Packed ones claim no equal bits, nor does a frame that tells neither of a runtime nor of chunks.

        Raises:
            LatentError: They are not.
        """
        if head.codec:
            return
        if head.chunks not in (0, CHUNK_TOKENS):
            raise LatentError(
                f"the keys and values were read in chunks of {head.chunks} tokens, and this language model reads "
                f"{CHUNK_TOKENS} at once, with other roundings; send the recipe instead"
            )
        if head.runtime not in ("", self.runtime):
            raise LatentError(
                f"the keys and values were computed by {head.runtime}, and this language model is {self.runtime}; "
                "send the recipe instead"
            )

    def _cache_of(self, frame: Frame) -> torch.Tensor:
        told = self.told()
        tensor = self._tensor(frame, "latent")
        wanted = [told["layers"], 2, told["kv_heads"], frame.head.positions, told["head_width"]]
        if not frame.head.positions:
            raise LatentError("the frame of keys and values has no positions; leave it out")
        if list(tensor.shape) != wanted or tensor.dtype != self.model.dtype:
            raise LatentError(
                f"the keys and values are {list(tensor.shape)} of {_NAMES.get(tensor.dtype)}; this model's are "
                f"{wanted} of {told['dtype']}"
            )
        return tensor

    def _rows_of(self, frame: Frame, digest: str) -> Iterator[Rows]:
        rows = self._own_rows(frame, "latent")
        if len(rows) != frame.head.positions or not len(rows):
            raise LatentError(
                f"the frame has {len(rows)} input embeddings and tells of {frame.head.positions}; right is one for "
                "each position, at least one"
            )
        sizes = [int(size) for size in frame.tensors["sizes"].ravel()] if "sizes" in frame.tensors else []
        if sizes and (sum(sizes) != len(rows) or min(sizes) < 1):
            raise LatentError(f"the frame parts {len(rows)} rows into {sum(sizes)}; its sizes are wrong")
        yield from of_rows(rows, digest, sizes)

    def _own_rows(self, frame: Frame, name: str) -> torch.Tensor:
        """Rows of a frame in the model's own element type.

        Raises:
            LatentError: They are none that this model reads.
        """
        given = self._tensor(frame, name)
        width = int(self.model.config.hidden_size)
        if given.ndim != 2 or given.shape[1] != width or not given.is_floating_point():
            raise LatentError(
                f"the input embeddings are {list(given.shape)} of {frame.dtypes[name]}; this model's are "
                f"[positions, {width}] of floating-point numbers"
            )
        rows = given.to(self.model.dtype)
        if not bool(torch.isfinite(rows).all()):  # what is finite in 32 bits need not be so in 16
            raise LatentError(f"the input embeddings hold numbers too large for {_NAMES[self.model.dtype]}")
        return rows

    def _replayed(self, frame: Frame, digest: str) -> Iterator[Piece]:
        told = self._tensor(frame, "latent")
        rows = self._own_rows(frame, "rows") if "rows" in frame.tensors else None
        if told.ndim != 1 or told.dtype != torch.int32 or not len(told):
            raise LatentError("a recipe is int32 [entries], at least one")
        if int(told.max()) >= int(self.model.config.vocab_size):
            raise LatentError(f"the recipe holds token {int(told.max())}, which this model's vocabulary has not")
        positions = num_positions(told.numpy())
        if positions != frame.head.positions or not positions:
            raise LatentError(
                f"the recipe fills {positions} positions and its frame tells of {frame.head.positions}; right is the "
                "same number, at least one"
            )
        if len(told) > 2 * positions + 1:
            raise LatentError(
                f"the recipe has {len(told)} entries for {positions} positions; the rest are cuts in vain"
            )
        try:
            yield from of_recipe([int(entry) for entry in frame.tensors["latent"]], rows, digest)
        except ValueError as error:
            raise LatentError(str(error)) from error

    def _tensor(self, frame: Frame, name: str) -> torch.Tensor:
        if name not in frame.tensors:
            raise LatentError(f"the frame of {frame.head.space} has no tensor {name!r}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of arrays that are read-only; nothing here writes in them
            tensor: torch.Tensor = torch.as_tensor(frame.tensors[name])
        return tensor.view(torch.bfloat16) if frame.dtypes[name] == "bfloat16" else tensor

    def _key(self) -> bytes:
        return frame_key(Path(os.environ["SENSORIUM_HOME"]))


def _bytes(tensor: torch.Tensor) -> bytes:
    flat: Any = tensor.detach().cpu().contiguous().flatten()
    return flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""


def _out(tensor: torch.Tensor) -> Tensor:
    whole, name = tensor.detach().cpu().contiguous(), _NAMES[tensor.dtype]
    return Tensor(whole.view(torch.uint16).numpy() if name == "bfloat16" else whole.numpy(), name)
