"""Numbers that cross a latent wire, and how far what a model says lies from what it would have said."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["Floats", "as_noise", "is_bit_equal", "kl_nats"]

Floats = npt.NDArray[np.float32]


def as_noise(array: Floats, rng: np.random.Generator) -> Floats:
    """Noise whose vectors along the last axis have the norms of the array's."""
    noise = rng.standard_normal(array.shape, dtype=np.float32)
    wanted, drawn = (np.sqrt(np.square(one).sum(-1, keepdims=True)) for one in (array, noise))
    return np.asarray(noise / drawn * wanted, dtype=np.float32)


def is_bit_equal(one: Floats, other: Floats) -> bool:
    """Whether two arrays of logits have the same bits."""
    return one.shape == other.shape and bool((one.view(np.uint32) == other.view(np.uint32)).all())


def kl_nats(text: Floats, channel: Floats) -> float:
    """Mean over tokens of the divergence of what comes next by a channel from what comes next by the text, in nats.

    Args:
        text: Logits [tokens, vocabulary].
        channel: The same.
    """
    logs, others = _log_softmax(text), _log_softmax(channel)
    return max(0.0, float((np.exp(logs) * (logs - others)).sum(-1, dtype=np.float64).mean()))


def _log_softmax(logits: Floats) -> Floats:
    moved = logits - logits.max(-1, keepdims=True)
    return np.asarray(moved - np.log(np.exp(moved).sum(-1, keepdims=True, dtype=np.float64)), dtype=np.float32)
