"""Latents that a served model reads as its input embeddings: what is let through, and what it is sent as."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from sensorium.admit.latents import check_tensor
from sensorium.errors import CallerError, LatentError, OperatorError
from sensorium.model.vllm.torch_file import STORAGES, write_tensor
from sensorium.parts import Latent

__all__ = ["SPACE", "UNKNOWN", "EmbedsForm"]

SPACE = "lm.embeds"
"""Space of input embeddings. A hidden state that is fed back as input is read as noise, whatever its width."""


@dataclass(frozen=True, slots=True)
class EmbedsForm:
    """What a served model takes as input embeddings, as far as it is known here."""

    width: int | None = None
    """Numbers in a row; None leaves it to the server, which refuses any other."""
    positions: int | None = None
    """Most rows in an ask; None leaves it to the server."""

    @classmethod
    def of(cls, checkpoint: Path, context_tokens: int | None = None) -> EmbedsForm:
        """The form that a checkpoint in the transformers layout tells.

        Args:
            checkpoint: Its directory.
            context_tokens: Tokens of the context that it is served with; its own where None.

        Raises:
            OperatorError: Its `config.json` cannot be read, or tells no width.
        """
        path = checkpoint / "config.json"
        try:
            told = cast("dict[str, Any]", json.loads(path.read_text(encoding="utf-8")))
            words = cast("dict[str, Any]", told.get("text_config", told))
            width, positions = int(words["hidden_size"]), words.get("max_position_embeddings")
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise OperatorError(f"{path} tells no hidden_size ({error}); pull the checkpoint again") from error
        limits = [int(limit) for limit in (positions, context_tokens) if limit is not None]
        return cls(width, min(limits, default=None))

    def written(self, latent: Latent) -> str:
        """A latent as the server reads it: a file of `torch.save`, in base64.

        Raises:
            LatentError: It is no row of this model's input embeddings for each token, or holds NaN or infinity.
            OperatorError: Its bytes are gone.
        """
        self._check(latent)
        data = latent.blob.read()
        try:
            check_tensor(data, latent.shape, latent.dtype)
        except CallerError as error:
            raise LatentError(f"the latent of space {latent.space} {error}") from error
        return base64.b64encode(write_tensor(data, latent.shape, latent.dtype)).decode()

    def _check(self, latent: Latent) -> None:
        shape = "×".join(map(str, latent.shape))
        if latent.space != SPACE:
            raise LatentError(
                f"the latent is of space {latent.space!r}, and this language model reads {SPACE!r}, its own input "
                "embeddings; wire it from an output of that space, or send the text that says the same"
            )
        if latent.dtype not in STORAGES:
            raise LatentError(f"the latent is of {latent.dtype}; input embeddings are {', '.join(STORAGES)}")
        if len(latent.shape) != 2 or min(latent.shape) < 1:
            raise LatentError(f"the latent has the shape {shape}; input embeddings are [tokens, width]")
        rows, width = latent.shape
        if self.width is not None and width != self.width:
            raise LatentError(
                f"the latent has rows of {width} numbers, and this language model's input embeddings have "
                f"{self.width}; it was made by another model"
            )
        if self.positions is not None and rows > self.positions:
            raise LatentError(
                f"the latent has {rows} rows, {rows - self.positions} more than the {self.positions} positions of the "
                "model's context; send fewer"
            )


UNKNOWN = EmbedsForm()
"""That of a model of which nothing is known here: the server decides."""
