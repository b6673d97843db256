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

from sensorium.latent.bridge_gate import GateSpec

__all__ = ["GATE", "Ears", "Marks", "marks"]

GATE = GateSpec(context=9, hidden=48, slots=4, reach=3, likely=0.35, apart=2)
"""Of states that are 20 ms apart."""

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

    def __init__(self, mean: Tensor, deviation: Tensor, *, hidden: int, width: int) -> None:
        super().__init__()
        states = len(mean)
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)
        self.gate_in = nn.Linear(GATE.context * states, GATE.hidden)
        self.gate_out = nn.Linear(GATE.hidden, 2)
        laid = GATE.wide * states
        self.norm = nn.LayerNorm(laid)
        self.map_in = nn.Linear(laid, hidden)
        self.map_out = nn.Linear(hidden, width)
        self.scale = nn.Parameter(torch.ones(width))
        self.dropout = nn.Dropout(0.1)

    def gate(self, states: Tensor) -> Tensor:
        """Logits [frames, 2]: this frame is the last of a token; this frame is within a word."""
        half = GATE.context // 2
        padded = torch.cat([states[:1].expand(half, -1), states, states[-1:].expand(half, -1)])
        kernel = self.gate_in.weight.view(-1, GATE.context, states.shape[1]).transpose(1, 2)
        hidden = functional.conv1d(padded.T[None], kernel, self.gate_in.bias)[0].T
        return self.gate_out(functional.gelu(hidden, approximate="tanh"))

    def rows(self, laid: Tensor) -> Tensor:
        """[tokens, GATE.wide * states] to [tokens, width]."""
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
