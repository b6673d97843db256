"""EfficientNet-Lite: pictures to feature maps and ImageNet logits.

Architecture: Tan and Le, "EfficientNet" (arXiv:1905.11946) with the changes of the Lite family: ReLU6, no squeeze and
excitation, a stem and a head of fixed width. Widths, depths and kernels are read from the weights themselves, so one
class loads Lite0 to Lite4. Parameter names are those of the published PyTorch conversion, which load strictly.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional

STAGE_STRIDES = (1, 2, 2, 2, 1, 2, 1)
"""Strides of the seven stages, table 1 of the paper; a stage starts where a block changes the number of channels."""
BN_EPS = 1e-3
"""TensorFlow's epsilon of batch normalisation, with which the weights were trained."""


class SamePadConv(nn.Conv2d):
    """A convolution without bias, padded as TensorFlow's SAME: the odd pixel goes to the right and to the bottom."""

    def __init__(self, weight: torch.Tensor, *, stride: int = 1, depthwise: bool = False) -> None:
        out, inner, kernel, _ = weight.shape
        groups = out if depthwise else 1
        super().__init__(inner * groups, out, kernel, stride, groups=groups, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pads: list[int] = []
        for side in (x.shape[3], x.shape[2]):
            rest = max((math.ceil(side / self.stride[0]) - 1) * self.stride[0] + self.kernel_size[0] - side, 0)
            pads += [rest // 2, rest - rest // 2]
        return super().forward(functional.pad(x, pads))


class Block(nn.Module):
    """Inverted bottleneck: widen, look round in each channel, narrow; added to its input where the shapes allow."""

    def __init__(self, weights: dict[str, torch.Tensor], stride: int) -> None:
        super().__init__()
        depthwise, project = weights["_depthwise_conv.weight"], weights["_project_conv.weight"]
        widen = weights.get("_expand_conv.weight")
        self._expand_conv = None if widen is None else SamePadConv(widen)
        self._bn0 = None if widen is None else nn.BatchNorm2d(len(widen), eps=BN_EPS)
        self._depthwise_conv = SamePadConv(depthwise, stride=stride, depthwise=True)
        self._bn1 = nn.BatchNorm2d(len(depthwise), eps=BN_EPS)
        self._project_conv = SamePadConv(project)
        self._bn2 = nn.BatchNorm2d(len(project), eps=BN_EPS)
        self.adds = stride == 1 and input_width(weights) == len(project)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x
        if self._expand_conv is not None and self._bn0 is not None:
            y = functional.relu6(self._bn0(self._expand_conv(y)))
        y = functional.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self.adds else y


class EfficientNetLite(nn.Module):
    """An EfficientNet-Lite as its state dict describes it, without dropout: for inference."""

    def __init__(self, weights: dict[str, torch.Tensor]) -> None:
        super().__init__()
        stem, head, classes = weights["_conv_stem.weight"], weights["_conv_head.weight"], weights["_fc.weight"]
        self._conv_stem = SamePadConv(stem, stride=2)
        self._bn0 = nn.BatchNorm2d(len(stem), eps=BN_EPS)
        self._blocks = nn.ModuleList(blocks(weights))
        self._conv_head = SamePadConv(head)
        self._bn1 = nn.BatchNorm2d(len(head), eps=BN_EPS)
        self._fc = nn.Linear(classes.shape[1], classes.shape[0])
        self.load_state_dict(weights)
        self.eval()

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Feature map, float32 [n, 1280, ceil(height / 32), ceil(width / 32)], of pixels from `to_pixels`."""
        x = functional.relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            x = block(x)
        return functional.relu6(self._bn1(self._conv_head(x)))

    def logits(self, features: torch.Tensor) -> torch.Tensor:
        """ImageNet logits, float32 [..., 1000], of feature vectors [..., 1280]: pooled or of single cells."""
        logits: torch.Tensor = self._fc(features)
        return logits

    @property
    def bias(self) -> torch.Tensor:
        """What the logits of a vector of zeros are, float32 [1000]."""
        return self._fc.bias


def input_width(weights: dict[str, torch.Tensor]) -> int:
    """Channels that a block takes."""
    widen = weights.get("_expand_conv.weight")
    return len(weights["_depthwise_conv.weight"]) if widen is None else widen.shape[1]


def blocks(weights: dict[str, torch.Tensor]) -> list[Block]:
    """The blocks that the state dict describes, in order, each with the stride of its stage where it starts one."""
    found: list[Block] = []
    stage = -1
    for index in range(1 + max(int(key.split(".")[1]) for key in weights if key.startswith("_blocks."))):
        prefix = f"_blocks.{index}."
        own = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
        starts = input_width(own) != len(own["_project_conv.weight"])
        stage += starts
        found.append(Block(own, STAGE_STRIDES[stage] if starts else 1))
    return found


def load_network(checkpoint: str, device: str) -> EfficientNetLite:
    """The network of a checkpoint's directory, which holds `model.safetensors`."""
    return EfficientNetLite(load_file(Path(checkpoint) / "model.safetensors")).to(device)


def to_pixels(picture: Image.Image, device: str) -> torch.Tensor:
    """Pixels of an RGB picture as the network takes them: float32 [1, 3, height, width], about -1 to 1."""
    values = (np.asarray(picture, dtype=np.float32) - 127.0) / 128.0
    return torch.from_numpy(values).permute(2, 0, 1).unsqueeze(0).to(device)
