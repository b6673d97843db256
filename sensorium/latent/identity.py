"""Who a language model is: the digest of what was loaded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from blake3 import blake3

__all__ = ["Weight", "identity"]


class Weight(NamedTuple):
    """One tensor of a model, as it was loaded."""

    name: str
    dtype: str
    """As torch writes it, such as `torch.bfloat16`."""
    shape: tuple[int, ...]
    data: bytes


def identity(weights: Iterable[Weight], tokenizer: str) -> str:
    """BLAKE3 over each weight's name, element type, shape and bytes, in order of names, and over the tokenizer.

    Args:
        weights: All of them.
        tokenizer: The whole of it, as text.
    """
    digest = blake3()
    for weight in weights:
        digest.update(f"{weight.name}\0{weight.dtype}\0{weight.shape}\0".encode())
        digest.update(weight.data)
    digest.update(tokenizer.encode())
    return digest.hexdigest()
