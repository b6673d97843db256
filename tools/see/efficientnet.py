"""EfficientNet-Lite 0, 1 and 2: pictures to feature maps and ImageNet logits.

Architecture: Tan and Le, "EfficientNet" (arXiv:1905.11946) with the changes of the Lite family: ReLU6, no squeeze and
excitation, a stem and a head of fixed width. Parameter names follow the published PyTorch conversion, so that its state
dict loads strictly.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

STRIDE = 32
"""Pixels of the network's input on each side of one cell of its feature map."""
BN_EPS = 1e-3
"""TensorFlow's epsilon of batch normalisation, with which the weights were trained."""


class Stage(NamedTuple):
    """Blocks of one resolution, as the paper's table 1 lists them."""

    repeats: int
    kernel: int
    stride: int
    expand: int
    width: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
SCALES = {16: (1.0, 1.0), 20: (1.0, 1.1), 23: (1.1, 1.2)}
"""Width and depth factors of Lite0, and those of Lite1 and Lite2 before they are told apart by width, by blocks."""


class SamePadConv(nn.Conv2d):
    """Convolution padded as TensorFlow's SAME: the odd pixel goes to the right and below."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pads: list[int] = []
        for side, kernel, stride in zip(x.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1], strict=True):
            total = max((math.ceil(side / stride) - 1) * stride + kernel - side, 0)
            pads += [total // 2, total - total // 2]
        return super().forward(F.pad(x, pads))
