"""MiniLM: words and phrases to vectors, whose dot product says how near two are in meaning.

Source: sentence-transformers/all-MiniLM-L6-v2: BERT (arXiv:1810.04805), its last hidden states averaged over the tokens
and scaled to length 1. Parameter names are those of the published file.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch.nn import functional

MOST_TOKENS = 256
"""Longest text that the vectors were trained on; what comes after it is not read."""
AT_ONCE = 128
"""Texts in one pass."""


class Words:
    """Turns texts into unit vectors.

    Args:
        checkpoint: Directory with `model.safetensors`, `config.json` and `tokenizer.json`.
        device: "cpu" or "cuda:0".
    """

    def __init__(self, checkpoint: str, device: str) -> None:
        folder = Path(checkpoint)
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self._heads: int = config["num_attention_heads"]
        self._layers: int = config["num_hidden_layers"]
        self._eps: float = config["layer_norm_eps"]
        self._device = device
        self._weights = load_file(folder / "model.safetensors", device=device)
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(MOST_TOKENS)
        self._tokenizer.enable_padding()

    def vectors(self, texts: list[str]) -> NDArray[np.float32]:
        """Unit vectors of texts, float32 [texts, 384]."""
        by_length = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        vectors = np.empty((len(texts), len(self._weights["embeddings.LayerNorm.bias"])), np.float32)
        for start in range(0, len(texts), AT_ONCE):
            some = by_length[start : start + AT_ONCE]
            vectors[some] = self._mean_states([texts[index] for index in some])
        return vectors

    @torch.inference_mode()
    def _mean_states(self, texts: list[str]) -> NDArray[np.float32]:
        encoded = self._tokenizer.encode_batch(texts)
        ids = torch.tensor([each.ids for each in encoded], device=self._device)
        mask = torch.tensor([each.attention_mask for each in encoded], device=self._device, dtype=torch.bool)
        states = self._states(ids, mask).masked_fill(~mask.unsqueeze(-1), 0)
        mean = states.sum(1) / mask.sum(1, keepdim=True)
        unit: NDArray[np.float32] = functional.normalize(mean, dim=-1).cpu().numpy()
        return unit

    def _states(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Last hidden states, float32 [texts, tokens, 384]."""
        x = self._weights["embeddings.word_embeddings.weight"][ids]
        x = x + self._weights["embeddings.position_embeddings.weight"][: ids.shape[1]]
        x = x + self._weights["embeddings.token_type_embeddings.weight"][0]
        x = self._norm("embeddings", x)
        for layer in range(self._layers):
            name = f"encoder.layer.{layer}"
            x = self._norm(f"{name}.attention.output", x + self._attend(f"{name}.attention", x, mask))
            wide = functional.gelu(self._linear(f"{name}.intermediate.dense", x))
            x = self._norm(f"{name}.output", x + self._linear(f"{name}.output.dense", wide))
        return x

    def _attend(self, name: str, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        query, key, value = (
            self._linear(f"{name}.self.{part}", x).unflatten(-1, (self._heads, -1)).transpose(1, 2)
            for part in ("query", "key", "value")
        )
        seen = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask[:, None, None, :])
        return self._linear(f"{name}.output.dense", seen.transpose(1, 2).flatten(-2))

    def _linear(self, name: str, x: torch.Tensor) -> torch.Tensor:
        return functional.linear(x, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"])

    def _norm(self, name: str, x: torch.Tensor) -> torch.Tensor:
        weight, bias = self._weights[f"{name}.LayerNorm.weight"], self._weights[f"{name}.LayerNorm.bias"]
        return functional.layer_norm(x, (len(weight),), weight, bias, self._eps)
