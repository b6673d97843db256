"""Networks of the real shapes in miniature, with random weights, for tests of what a tool does around them."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing
from transformers import BertConfig, BertModel

__all__ = ["small_sight", "small_words"]

WIDTHS = (8, 4, 6, 6, 8, 10, 12, 14, 16)
"""Channels of the stem and after each block; each change starts a stage, and one block keeps its width."""
FEATURES, CLASSES = 20, 1000


def small_sight(folder: Path) -> Path:
    """A checkpoint of an EfficientNet-Lite with eight blocks of a few channels."""
    torch.manual_seed(0)
    weights = {"_conv_stem.weight": torch.randn(WIDTHS[0], 3, 3, 3), **_norm("_bn0", WIDTHS[0])}
    for index, (taken, given) in enumerate(pairwise(WIDTHS)):
        name, wide = f"_blocks.{index}", taken * (2 if index else 1)
        if index:
            weights |= {f"{name}._expand_conv.weight": torch.randn(wide, taken, 1, 1), **_norm(f"{name}._bn0", wide)}
        weights |= {f"{name}._depthwise_conv.weight": torch.randn(wide, 1, 3, 3), **_norm(f"{name}._bn1", wide)}
        weights |= {f"{name}._project_conv.weight": torch.randn(given, wide, 1, 1), **_norm(f"{name}._bn2", given)}
    weights |= {"_conv_head.weight": torch.randn(FEATURES, WIDTHS[-1], 1, 1), **_norm("_bn1", FEATURES)}
    weights |= {"_fc.weight": torch.randn(CLASSES, FEATURES), "_fc.bias": torch.zeros(CLASSES)}
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights, folder / "model.safetensors")
    return folder


def _norm(name: str, width: int) -> dict[str, torch.Tensor]:
    return {
        f"{name}.weight": torch.ones(width),
        f"{name}.bias": torch.zeros(width),
        f"{name}.running_mean": torch.zeros(width),
        f"{name}.running_var": torch.full((width,), 8.0),
        f"{name}.num_batches_tracked": torch.tensor(0),
    }


def small_words(folder: Path) -> Path:
    """A checkpoint of a BERT with two narrow layers, which reads letter by letter."""
    torch.manual_seed(0)
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters, *(f"##{letter}" for letter in letters)]
    tokenizer = Tokenizer(WordPiece({piece: number for number, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    config = BertConfig(
        vocab_size=len(pieces), hidden_size=16, num_hidden_layers=2, num_attention_heads=4, intermediate_size=32
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    assert json.loads((folder / "config.json").read_text())["num_attention_heads"] == 4
    return folder
