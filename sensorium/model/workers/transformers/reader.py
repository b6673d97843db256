"""A model that reads a prompt on from where it is the same as the one before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, assert_never

import torch
from transformers import DynamicCache

from sensorium.errors import LatentError

from .pieces import Loaded, Piece, Rows, Thought, Tokens

__all__ = ["Reader"]

_LIKELIEST = 32
"""Of how many next tokens a thought is made."""


class Reader:
    """Gives what comes next after the pieces of a prompt.

    A piece is one forward step, and only whole pieces are kept for the next prompt. So how much was kept changes no bit
    of what is computed: in 16 bits, other chunks give other roundings.

    Args:
        model: A causal language model of transformers.
        device: Where it is.
    """

    def __init__(self, model: Any, device: str) -> None:
        self.num_cached = 0
        """How many positions of the last prompt had been read before."""
        self._model = model
        self._device = device
        self._pieces: list[Piece] = []
        """Those of the last prompt, as far as they were read."""
        self._thoughts: list[torch.Tensor | None] = []
        """For each piece, the row that was thought; [1, width]."""
        self._num_read = 0
        """Positions in the cache, those behind the prompt among them."""
        self._cache: Any = DynamicCache()
        self._logits: torch.Tensor | None = None
        """Of what follows the last piece; None where no step has told of it."""

    def read(self, pieces: Sequence[Piece]) -> torch.Tensor:
        """Logits of what follows a prompt, float32 [vocabulary], on its device.

        Raises:
            LatentError: Its last piece is keys and values, or it has none.
        """
        same = self._num_same(pieces[:-1])
        while same and isinstance(pieces[same], Thought):  # a thought comes out of the step before it
            same -= 1
        self._go_on_from(pieces, same)
        return self._following()

    def hold(self, pieces: Sequence[Piece]) -> None:
        """Reads and thinks pieces, whatever comes next.

        Raises:
            LatentError: It is to think right behind keys and values.
        """
        same = self._num_same(pieces)
        while 0 < same < len(pieces) and isinstance(pieces[same], Thought):
            same -= 1
        self._go_on_from(pieces, same)

    def keys_and_values(self, pieces: Sequence[Piece]) -> torch.Tensor:
        """Those of pieces, [layers, 2, heads, positions, width of a head].

        Raises:
            LatentError: It is to think right behind keys and values.
        """
        self.hold(pieces)
        layers = self._cache.layers
        parts = [part for layer in layers for part in (layer.keys[0], layer.values[0])]
        stacked = torch.stack(parts)
        return stacked.view(len(layers), 2, *stacked.shape[1:])

    def rows(self, pieces: Sequence[Piece]) -> torch.Tensor:
        """The input embeddings of pieces none of which is `Loaded`, [positions, width]."""
        if any(isinstance(piece, Thought) for piece in pieces):
            self.hold(pieces)
            thoughts = self._thoughts
        else:
            thoughts = [None] * len(pieces)
        embed = self._model.get_input_embeddings()
        made: list[torch.Tensor] = []
        for piece, thought in zip(pieces, thoughts, strict=True):
            if isinstance(piece, Tokens):
                made.append(embed(torch.tensor(piece.ids, device=self._device)))
            elif isinstance(piece, Rows):
                made.append(piece.rows.to(made[0].dtype if made else piece.rows.dtype))
            elif thought is not None:
                made.append(thought)
        return torch.cat(made)

    def states(self, pieces: Sequence[Piece], layer: int) -> torch.Tensor:
        """Hidden states behind a layer, [positions, width], read in the same pieces; 0 is before the first layer."""
        self.forget()
        made: list[torch.Tensor] = []
        for piece in pieces:
            told = self._step(piece, output_hidden_states=True)
            made.append(told.hidden_states[layer][0])
            self._pieces.append(piece)
        return torch.cat(made)

    def go_on(self, token: int) -> torch.Tensor:
        """Logits of what follows when `token` comes next, float32 [vocabulary]."""
        return self.follow([token])[-1]

    def follow(self, ids: Sequence[int]) -> torch.Tensor:
        """Logits of what follows each of tokens that come next at once, float32 [tokens, vocabulary]."""
        tokens = torch.tensor([list(ids)], device=self._device)
        told = self._model(input_ids=tokens, past_key_values=self._cache, use_cache=True)
        self._num_read += len(ids)
        logits: torch.Tensor = told.logits[0].float()
        return logits

    def forget(self) -> None:
        """Keeps nothing of what was read."""
        self._keep(0)

    def _num_same(self, pieces: Sequence[Piece]) -> int:
        pairs = zip(self._pieces, pieces, strict=False)
        return next(
            (index for index, (left, right) in enumerate(pairs) if left != right), min(len(self._pieces), len(pieces))
        )

    def _go_on_from(self, pieces: Sequence[Piece], same: int) -> None:
        self._keep(same)
        self.num_cached = sum(len(piece) for piece in pieces[:same])
        for piece in pieces[same:]:
            self._step(piece)
            self._pieces.append(piece)

    def _keep(self, num_pieces: int) -> None:
        num_positions = sum(len(piece) for piece in self._pieces[:num_pieces])
        if num_positions == 0:
            self._cache = DynamicCache()
        elif num_positions < self._num_read:
            self._cache.crop(num_positions - self._num_read)
        self._num_read = num_positions
        self._logits = None
        self._pieces, self._thoughts = self._pieces[:num_pieces], self._thoughts[:num_pieces]

    def _step(self, piece: Piece, **options: Any) -> Any:
        thought: torch.Tensor | None = None
        match piece:
            case Loaded():
                return self._load(piece)
            case Tokens():
                given = {"input_ids": torch.tensor([piece.ids], device=self._device)}
            case Rows():
                given = {"inputs_embeds": piece.rows[None].to(self._device, self._model.dtype)}
            case Thought():
                thought = self._thought()
                given = {"inputs_embeds": thought[None]}
            case _:
                assert_never(piece)
        told = self._model(**given, past_key_values=self._cache, use_cache=True, logits_to_keep=1, **options)
        self._num_read += len(piece)
        self._thoughts.append(thought)
        self._logits = told.logits[0, -1].float()
        return told

    def _load(self, piece: Loaded) -> None:
        for layer, (keys, values) in enumerate(piece.cache):
            self._cache.update(keys[None].to(self._device), values[None].to(self._device), layer)
        self._num_read += len(piece)
        self._logits = None
        self._thoughts.append(None)

    def _following(self) -> torch.Tensor:
        if self._logits is None:
            raise LatentError(
                "keys and values tell of no next token, nor does a prompt without tokens; let text stand behind them"
            )
        return self._logits

    def _thought(self) -> torch.Tensor:
        """The mean of the likeliest next tokens' input embeddings, weighed by their probabilities; [1, width].

        It stays where input embeddings are: a last hidden state that is fed back is read as noise.
        Source: Zhang et al., Soft Thinking, arXiv:2505.15778.
        """
        chances, ids = torch.softmax(self._following(), -1).topk(_LIKELIEST)
        embeds = self._model.get_input_embeddings()(ids)
        row: torch.Tensor = (chances / chances.sum()) @ embeds.float()
        return row[None].to(embeds.dtype)
