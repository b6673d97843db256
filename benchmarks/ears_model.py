"""The ears as they are trained: a gate that finds where a token's sound ends, and a map from that sound to a row.

`sensorium.latent.bridge` applies the same by numpy; `arrays` gives what it reads.
"""

# pyright: basic

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["CONTEXT", "REACH", "SLOTS", "Ears", "Marks", "ends", "laid", "marks"]

CONTEXT = 9
"""States that the gate sees at once: 180 ms."""
SLOTS = 4
"""Means of states along a token's sound."""
REACH = 3
"""Slots of the tokens before and after that a row sees too."""
THRESHOLD = 0.35
"""Likelihood from which a frame may be the last of a token."""
APART = 2
"""Frames between the ends of two tokens, at least."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Marks:
    """What the gate learns to say of an utterance's frames."""

    last: Floats
    """[frames]: 1 where a token ends, less beside it."""
    voiced: Floats
    """[frames]: 1 within a word."""
    ends: npt.NDArray[np.int64]
    """[tokens]: the last frame of each token."""


def marks(spans: Floats, num_frames: int) -> Marks:
    """From where each token begins and ends, [tokens, 2] in frames."""
    last, voiced = np.zeros(num_frames, np.float32), np.zeros(num_frames, np.float32)
    centres = np.arange(num_frames) + 0.5
    where = np.clip(spans[:, 1].astype(np.int64), 0, num_frames - 1)
    for at in range(1, len(where)):
        where[at] = min(max(where[at], where[at - 1] + 1), num_frames - 1)
    for (begin, end), at in zip(spans, where, strict=True):
        voiced[(centres >= begin - 0.5) & (centres <= end + 0.5)] = 1
        last[at] = 1
        for beside in (at - 1, at + 1):
            if 0 <= beside < num_frames:
                last[beside] = max(last[beside], 0.4)
    return Marks(last, voiced, where)


class Ears(nn.Module):
    """Gate and map. States are normalised by `mean` and `deviation` first."""

    def __init__(self, mean: Tensor, deviation: Tensor, *, gate: int, hidden: int, width: int) -> None:
        super().__init__()
        states = len(mean)
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)
        self.gate_in = nn.Linear(CONTEXT * states, gate)
        self.gate_out = nn.Linear(gate, 2)
        laid = (SLOTS + 2 * REACH) * states
        self.norm = nn.LayerNorm(laid)
        self.map_in = nn.Linear(laid, hidden)
        self.map_out = nn.Linear(hidden, width)
        self.scale = nn.Parameter(torch.ones(width))
        self.dropout = nn.Dropout(0.1)

    def gate(self, states: Tensor) -> Tensor:
        """Logits [frames, 2]: this frame is the last of a token; this frame is within a word."""
        half = CONTEXT // 2
        padded = torch.cat([states[:1].expand(half, -1), states, states[-1:].expand(half, -1)])
        kernel = self.gate_in.weight.view(-1, CONTEXT, states.shape[1]).transpose(1, 2)
        hidden = functional.conv1d(padded.T[None], kernel, self.gate_in.bias)[0].T
        return self.gate_out(functional.gelu(hidden, approximate="tanh"))

    def rows(self, laid: Tensor) -> Tensor:
        """[tokens, (SLOTS + 2 * REACH) * states] to [tokens, width]."""
        hidden = functional.gelu(self.map_in(self.dropout(self.norm(laid))), approximate="tanh")
        return self.map_out(self.dropout(hidden)) * self.scale

    def arrays(self) -> dict[str, Floats]:
        """The weights under the names of the bridge's format."""
        named = {
            "mean": self.mean, "deviation": self.deviation,
            "gate.in.weight": self.gate_in.weight, "gate.in.bias": self.gate_in.bias,
            "gate.out.weight": self.gate_out.weight, "gate.out.bias": self.gate_out.bias,
            "norm.weight": self.norm.weight, "norm.bias": self.norm.bias,
            "in.weight": self.map_in.weight, "in.bias": self.map_in.bias,
            "out.weight": self.map_out.weight, "out.bias": self.map_out.bias, "scale": self.scale,
        }  # fmt: skip
        return {name: tensor.detach().float().numpy() for name, tensor in named.items()}


def ends(last: Floats, voiced: Floats) -> npt.NDArray[np.int64]:
    """The last frame of each token, from the gate's two likelihoods of every frame: where the first is highest.

    Speech that goes on after the last of them ends with the last voiced frame.
    """
    padded = np.pad(last, APART, constant_values=-1.0)
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * APART + 1)
    found = np.flatnonzero((last >= THRESHOLD) & (around.argmax(axis=1) == APART))
    heard = np.flatnonzero(voiced >= 0.5)
    if len(heard) and (not len(found) or (heard > found[-1] + APART).sum() > 2 * APART):
        found = np.append(found, heard[-1])
    return found


def laid(states: Floats, voiced: Floats, last_frames: npt.NDArray[np.int64]) -> Floats:
    """What each row is made of: means of states along each token's sound, and along what is next to it.

    Args:
        states: Normalised, [frames, width].
        voiced: Likelihood that a frame is within a word, [frames]; others weigh little.
        last_frames: The last frame of each token, [tokens].

    Returns:
        [tokens, (SLOTS + 2 * REACH) * width].
    """
    num_tokens = len(last_frames)
    weights = np.maximum(voiced, 0.02)[: last_frames[-1] + 1]
    token = np.searchsorted(last_frames, np.arange(len(weights)))
    weights = weights / np.bincount(token, weights, num_tokens)[token]
    so_far = np.concatenate([[0.0], np.cumsum(weights)])
    summed = np.concatenate([np.zeros((1, states.shape[1])), np.cumsum(weights[:, None] * states[: len(weights)], 0)])
    edges = np.arange(num_tokens * SLOTS + 1) / SLOTS
    at = np.clip(np.searchsorted(so_far, edges, "right") - 1, 0, len(weights) - 1)
    share = np.clip((edges - so_far[at]) / weights[at], 0.0, 1.0)
    slots = np.diff(summed[at] + share[:, None] * (summed[at + 1] - summed[at]), axis=0) * SLOTS
    padded = np.concatenate([np.repeat(slots[:1], REACH, 0), slots, np.repeat(slots[-1:], REACH, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, SLOTS + 2 * REACH, axis=0)[::SLOTS]
    return np.ascontiguousarray(windows.transpose(0, 2, 1)).reshape(num_tokens, -1).astype(np.float32)
