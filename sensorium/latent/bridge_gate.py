"""Where a bridge from sound makes a row: a gate on the states finds the tokens, and each becomes a row.

Sound has no tokens, and a token lasts for as many states as it takes to say it. The gate looks at `context` states
around each and says how likely it is the last one of a token, and how likely it is within a word. A token's states,
weighed by the second, are averaged in `slots` parts of equal weight. A row is made of the slots of its token, and of
`reach` slots before and after. No vocabulary comes in: the gate says when, and never what.

Related: continuous integrate-and-fire (https://arxiv.org/abs/1905.11235). Here a token ends at a peak instead of where
a sum reaches one, so that one mistake does not shift all tokens behind it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field

from sensorium.spec.declared import Declared

__all__ = ["GateSpec", "gate_shapes", "gated", "gelu", "laid_out", "token_ends"]

Floats = npt.NDArray[np.float32]

_UNVOICED = 0.02
"""What a state outside of words weighs at least, so that a token is never empty."""


class GateSpec(Declared):
    """A bridge's gate."""

    context: Annotated[int, Field(ge=1, le=63)]
    """States that it looks at; where the number is even, one more before than after."""
    hidden: Annotated[int, Field(ge=1, le=4096)]
    slots: Annotated[int, Field(ge=1, le=16)]
    """Means of states along a token."""
    reach: Annotated[int, Field(ge=0, le=16)]
    """Slots before and after that a row is made of too."""
    likely: Annotated[float, Field(gt=0, lt=1)]
    """Likelihood from which a state may be the last of a token."""
    apart: Annotated[int, Field(ge=1, le=16)]
    """States between the last ones of two tokens, at least."""

    @property
    def wide(self) -> int:
        """Slots that a row is made of."""
        return self.slots + 2 * self.reach


def gate_shapes(spec: GateSpec, width: int) -> dict[str, tuple[int, ...]]:
    """Shape of each of the gate's arrays, for states of `width`."""
    return {
        "gate.in.weight": (spec.hidden, spec.context * width),
        "gate.in.bias": (spec.hidden,),
        "gate.out.weight": (2, spec.hidden),
        "gate.out.bias": (2,),
    }


def gated(arrays: Mapping[str, Floats], states: Floats, spec: GateSpec) -> Floats:
    """The states of each token that is heard, [tokens, wide * width]; no rows where nothing is.

    Args:
        arrays: The bridge's weights.
        states: Normalised by the bridge's mean and deviation, [positions, width].
        spec: How the gate was declared.
    """
    last, voiced = _likelihoods(arrays, states, spec.context)
    return laid_out(states, voiced, token_ends(last, voiced, spec), spec)


def laid_out(states: Floats, voiced: Floats, ends: npt.NDArray[np.intp], spec: GateSpec) -> Floats:
    """What each row is made of, [tokens, wide * width].

    Args:
        states: Normalised, [positions, width].
        voiced: Likelihood that a state is within a word, [positions].
        ends: The last state of each token, [tokens], rising.
        spec: How the gate was declared.
    """
    if not len(ends):
        return np.zeros((0, spec.wide * states.shape[1]), np.float32)
    slots = _slots(states, voiced, ends, spec.slots)
    padded = np.pad(slots, ((spec.reach, spec.reach), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, spec.wide, axis=0)[:: spec.slots]
    return np.asarray(windows.transpose(0, 2, 1).reshape(len(ends), -1), np.float32)


def token_ends(last: Floats, voiced: Floats, spec: GateSpec) -> npt.NDArray[np.intp]:
    """The last state of each token, [tokens]: where `last` is the highest around. Words that go on behind end too.

    Args:
        last: Likelihood that a state is the last of a token, [positions].
        voiced: Likelihood that a state is within a word, [positions].
        spec: How the gate was declared.
    """
    padded = np.pad(last, spec.apart, constant_values=-1.0)
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * spec.apart + 1)
    found = np.flatnonzero((last >= spec.likely) & (around.argmax(axis=1) == spec.apart))
    heard = np.flatnonzero(voiced >= 0.5)
    if len(heard) and (not len(found) or (heard > found[-1] + spec.apart).sum() > 2 * spec.apart):
        found = np.append(found, heard[-1])
    return found


def gelu(x: Floats) -> Floats:
    """GELU by tanh (Hendrycks and Gimpel, https://arxiv.org/abs/1606.08415); torch has it as `approximate="tanh"`."""
    return np.asarray(0.5 * x * (1 + np.tanh(np.float32(np.sqrt(2 / np.pi)) * (x + 0.044715 * x**3))), np.float32)


def _likelihoods(arrays: Mapping[str, Floats], states: Floats, context: int) -> tuple[Floats, Floats]:
    """For each state: how likely it is the last of a token, and how likely within a word."""
    before = context // 2
    padded = np.pad(states, ((before, context - 1 - before), (0, 0)), mode="edge")
    kernel = arrays["gate.in.weight"].reshape(-1, context, states.shape[1])
    hidden = sum(padded[at : at + len(states)] @ kernel[:, at].T for at in range(context)) + arrays["gate.in.bias"]
    logits = gelu(np.asarray(hidden)) @ arrays["gate.out.weight"].T + arrays["gate.out.bias"]
    likely = np.asarray(1 / (1 + np.exp(-np.clip(logits, -30, 30))), np.float32)
    return likely[:, 0], likely[:, 1]


def _slots(states: Floats, voiced: Floats, ends: npt.NDArray[np.intp], num_slots: int) -> Floats:
    """Means of the states along each token, [tokens * num_slots, width], by differences of a running sum."""
    weights = np.maximum(voiced[: ends[-1] + 1], _UNVOICED).astype(np.float64)
    token = np.searchsorted(ends, np.arange(len(weights)))
    weights /= np.bincount(token, weights)[token]
    so_far = np.concatenate([[0.0], np.cumsum(weights)])
    summed = np.concatenate([np.zeros((1, states.shape[1])), np.cumsum(weights[:, None] * states[: len(weights)], 0)])
    edges = np.arange(len(ends) * num_slots + 1) / num_slots
    at = np.clip(np.searchsorted(so_far, edges, "right") - 1, 0, len(weights) - 1)
    share = np.clip((edges - so_far[at]) / weights[at], 0.0, 1.0)
    return np.asarray(
        np.diff(summed[at] + share[:, None] * (summed[at + 1] - summed[at]), axis=0) * num_slots, np.float32
    )
