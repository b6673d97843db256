"""A bridge as a torch module: the same map as `sensorium.latent.bridge.cross`, with gradients."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (torch and its like leave arguments untyped)

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from sensorium.latent.bridge import NORM_EPSILON

__all__ = ["BridgeMap"]


class BridgeMap(nn.Module):
    """Rows for a receiver from a sender's states.

    Args:
        width: The sender's.
        out: The receiver's.
        stride: Neighbouring states that become one row.
        hidden: Width between the two linear maps; 0 for none.
    """

    mean: torch.Tensor
    deviation: torch.Tensor
    scale: torch.Tensor

    def __init__(self, width: int, out: int, *, stride: int, hidden: int) -> None:
        super().__init__()
        wide = width * stride
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("deviation", torch.ones(width))
        self.register_buffer("scale", torch.ones(out))
        self.norm = nn.LayerNorm(wide, eps=NORM_EPSILON)
        self.skip = nn.Linear(wide, out, bias=False)
        self.inner = nn.Linear(wide, hidden)
        self.outer = nn.Linear(hidden, out)
        nn.init.zeros_(self.skip.weight)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def normal(self, states: torch.Tensor) -> torch.Tensor:
        """What the linear maps read, [..., stride * width], of states [..., stride, width]."""
        normal: torch.Tensor = self.norm(((states - self.mean) / self.deviation).flatten(-2))
        return normal

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Rows, [..., receiver's width], of states [..., stride, width]."""
        normal = self.normal(states)
        rows = self.outer(functional.gelu(self.inner(normal), approximate="tanh")) + self.skip(normal)
        return torch.as_tensor(rows * self.scale)

    def arrays(self) -> dict[str, npt.NDArray[np.float32]]:
        """The weights under the names of a bridge's file."""
        names = {"inner.": "in.", "outer.": "out."}
        arrays: dict[str, npt.NDArray[np.float32]] = {}
        for name, tensor in self.state_dict().items():
            for ours, theirs in names.items():
                name = name.replace(ours, theirs)
            arrays[name] = tensor.detach().float().numpy()
        return arrays

    def take(self, arrays: dict[str, Any]) -> None:
        """Takes weights over from a bridge's file."""
        names = {"in.": "inner.", "out.": "outer."}
        state = {}
        for name, array in arrays.items():
            for theirs, ours in names.items():
                if name.startswith(theirs):
                    name = ours + name.removeprefix(theirs)
            state[name] = torch.from_numpy(np.array(array, np.float32))
        self.load_state_dict(state)
