"""TinyViT as LiteMedSAM uses it: the image encoder of a small Segment Anything model, in torch alone.

Architecture: Wu et al., "TinyViT: Fast Pretraining Distillation for Small Vision Transformers", ECCV 2022, with the
changes of LiteMedSAM: patches of one pixel, no halving before the last stage, and SAM's neck on top. Attribute names
are those of the published checkpoint, so its `image_encoder.*` tensors load strictly, with no key renamed.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

SIDE = 256
"""Height and width of the input, in pixels."""
GRID = 64
"""Height and width of the embedding."""
CHANNELS = 256
"""Channels of the embedding."""


@dataclass(frozen=True)
class Stage:
    """One stage of attention blocks."""

    dim: int
    """Channels."""
    depth: int
    """Number of blocks."""
    heads: int
    """Number of attention heads."""
    window: int
    """Side of an attention window, in cells."""
    halved: bool
    """Whether the map is halved on the way to the next stage."""


STEM_DIM = 64
STEM_DEPTH = 2
STAGES = (
    Stage(dim=128, depth=2, heads=4, window=7, halved=True),
    Stage(dim=160, depth=6, heads=5, window=14, halved=False),
    Stage(dim=320, depth=2, heads=10, window=7, halved=False),
)


def conv_norm(inner: int, outer: int, *, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """A convolution `c` that keeps the map's size at stride 1, then its batch norm `bn`."""
    both = nn.Sequential()
    both.add_module("c", nn.Conv2d(inner, outer, kernel, stride, kernel // 2, groups=groups, bias=False))
    both.add_module("bn", nn.BatchNorm2d(outer))
    return both


class InvertedBottleneck(nn.Module):
    """Widen fourfold, filter each channel, narrow, add the input (MBConv)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv1 = conv_norm(dim, 4 * dim)
        self.conv2 = conv_norm(4 * dim, 4 * dim, kernel=3, groups=4 * dim)
        self.conv3 = conv_norm(4 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        wide = functional.gelu(self.conv1(x))
        return functional.gelu(x + self.conv3(functional.gelu(self.conv2(wide))))


class Downsample(nn.Module):
    """From one stage's channels to the next one's, halving the map or not."""

    def __init__(self, inner: int, outer: int, *, halved: bool) -> None:
        super().__init__()
        self.conv1 = conv_norm(inner, outer)
        self.conv2 = conv_norm(outer, outer, kernel=3, stride=2 if halved else 1, groups=outer)
        self.conv3 = conv_norm(outer, outer)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv3(functional.gelu(self.conv2(functional.gelu(self.conv1(x)))))


class WindowAttention(nn.Module):
    """Attention within windows, with a learned bias for each distance between two cells, whatever its sign."""

    def __init__(self, dim: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.window = window
        self.norm = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.attention_biases = nn.Parameter(torch.zeros(heads, window * window))
        self.register_buffer("distance", distances(window), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Maps [windows, cells, dim] to the same shape."""
        windows, cells, dim = x.shape
        heads = self.qkv(self.norm(x)).view(windows, cells, self.heads, -1).transpose(1, 2)
        query, key, value = heads.chunk(3, dim=-1)
        bias = self.attention_biases[None, :, self.distance]
        seen = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        return self.proj(seen.transpose(1, 2).reshape(windows, cells, dim))


def distances(window: int) -> Tensor:
    """Which bias each pair of cells has, int64 [cells, cells]: rows apart times the window, plus columns apart."""
    row, column = torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")
    row, column = row.flatten(), column.flatten()
    return (row[:, None] - row[None]).abs() * window + (column[:, None] - column[None]).abs()


class Mlp(nn.Module):
    """Norm, widen fourfold, narrow."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.fc1 = nn.Linear(dim, 4 * dim)
        self.fc2 = nn.Linear(4 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(functional.gelu(self.fc1(self.norm(x))))


class Block(nn.Module):
    """Attention in windows, a 3x3 filter for each channel, an MLP."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.attn = WindowAttention(stage.dim, stage.heads, stage.window)
        self.local_conv = conv_norm(stage.dim, stage.dim, kernel=3, groups=stage.dim)
        self.mlp = Mlp(stage.dim)

    def forward(self, x: Tensor) -> Tensor:
        """Maps [batch, dim, height, width] to the same shape."""
        x = self.local_conv(x + self.attend(x))
        return x + self.mlp(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    def attend(self, x: Tensor) -> Tensor:
        batch, dim, height, width = x.shape
        window = self.attn.window
        cells = functional.pad(x.permute(0, 2, 3, 1), (0, 0, 0, -width % window, 0, -height % window))
        rows, columns = cells.shape[1] // window, cells.shape[2] // window
        cells = cells.view(batch, rows, window, columns, window, dim).transpose(2, 3)
        seen = self.attn(cells.reshape(-1, window * window, dim))
        seen = seen.view(batch, rows, columns, window, window, dim).transpose(2, 3)
        whole = seen.reshape(batch, rows * window, columns * window, dim)
        return whole[:, :height, :width].permute(0, 3, 1, 2)


class Layer(nn.Module):
    """Blocks, then the way to the next stage, if there is one."""

    def __init__(self, blocks: list[nn.Module], downsample: Downsample | None) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*blocks)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(x)
        return x if self.downsample is None else self.downsample(x)


class PatchEmbed(nn.Module):
    """Each pixel to `STEM_DIM` channels."""

    def __init__(self) -> None:
        super().__init__()
        self.seq = nn.Sequential(conv_norm(3, STEM_DIM // 2), nn.GELU(), conv_norm(STEM_DIM // 2, STEM_DIM))

    def forward(self, x: Tensor) -> Tensor:
        return self.seq(x)


class ChannelNorm(nn.Module):
    """Layer norm over the channels of a map."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor) -> Tensor:
        last = x.permute(0, 2, 3, 1)
        return functional.layer_norm(last, last.shape[-1:], self.weight, self.bias, eps=1e-6).permute(0, 3, 1, 2)


class TinyViT(nn.Module):
    """float32 [batch, 3, 256, 256] in 0...1 to an image embedding, float32 [batch, 256, 64, 64]."""

    img_size = SIDE  # segment_anything reads the size of the input under this name

    def __init__(self) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed()
        stem = [InvertedBottleneck(STEM_DIM) for _ in range(STEM_DEPTH)]
        layers = [Layer(list[nn.Module](stem), Downsample(STEM_DIM, STAGES[0].dim, halved=True))]
        for stage, following in zip(STAGES, (*STAGES[1:], None), strict=True):
            onward = Downsample(stage.dim, following.dim, halved=stage.halved) if following else None
            layers.append(Layer([Block(stage) for _ in range(stage.depth)], onward))
        self.layers = nn.Sequential(*layers)
        self.neck = nn.Sequential(
            nn.Conv2d(STAGES[-1].dim, CHANNELS, 1, bias=False),
            ChannelNorm(CHANNELS),
            nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, bias=False),
            ChannelNorm(CHANNELS),
        )

    def forward(self, pixels: Tensor) -> Tensor:
        return self.neck(self.layers(self.patch_embed(pixels)))
