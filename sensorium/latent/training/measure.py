"""What a bridge recovers of a text, with controls beside it.

`recovered` is (NLL without - NLL with the channel) / (NLL without - NLL with the text), of forced tokens, summed over
passages; the interval is a bootstrap over passages.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (torch and its like leave arguments untyped)

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from sensorium.latent.bridge import Bridge
from sensorium.latent.bridge_tasks import TASKS
from sensorium.latent.training.models import Receiving, Sending

__all__ = ["CHANNELS", "Passage", "measure"]

CHANNELS = ("bridge", "nearest", "shuffled", "noise")
"""What is measured beside the text and nothing: the bridge; each row replaced by the receiver's nearest embedding; the
rows of another passage; noise, each row with the norm of the bridge's."""
_RESAMPLES = 2000

Figures: TypeAlias = npt.NDArray[np.float64]


class Passage(NamedTuple):
    """A text, and what follows it."""

    text: str
    following: str


def measure(
    bridge: Bridge,
    sending: Sending,
    receiving: Receiving,
    passages: list[Passage],
    *,
    seed: int = 0,
    on_passage: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:
    """Figures of each task and channel, as a card holds them under `tasks`."""
    rows = [_rows(bridge, sending, passage.text) for passage in passages]
    totals = {task.name: np.zeros((len(passages), 2 + len(CHANNELS))) for task in TASKS}
    counts = {task.name: 0 for task in TASKS}
    draw = torch.Generator().manual_seed(seed)
    for index, passage in enumerate(passages):
        others = rows[(index + 1) % len(rows)]
        contexts = [receiving.rows(passage.text), rows[index][:0], *_channels(rows[index], others, receiving, draw)]
        for task in TASKS:
            forced = receiving.ids(passage.following if task.goes_on else passage.text)
            before, after = receiving.rows(task.before), receiving.rows(task.after)
            prompts = [torch.cat([before, context, after]) for context in contexts]
            with torch.inference_mode():
                losses = receiving.losses(prompts, [forced] * len(prompts))
            totals[task.name][index] = [float(loss.sum()) for loss in losses]
            counts[task.name] += len(forced)
        on_passage(index + 1)
    return {name: _figures(total, counts[name], seed) for name, total in totals.items()}


def _rows(bridge: Bridge, sending: Sending, text: str) -> torch.Tensor:
    ids = sending.tokenizer(text, add_special_tokens=False, return_tensors="pt").input_ids
    return torch.from_numpy(bridge.cross(sending.states(ids)[0].numpy()))


def _channels(
    rows: torch.Tensor, others: torch.Tensor, receiving: Receiving, draw: torch.Generator
) -> list[torch.Tensor]:
    near = (functional.normalize(rows, dim=-1) @ functional.normalize(receiving.embeddings, dim=-1).T).argmax(-1)
    noise = functional.normalize(torch.randn(rows.shape, generator=draw), dim=-1) * rows.norm(dim=-1, keepdim=True)
    return [rows, receiving.embeddings[near], others, noise]


def _figures(totals: Figures, tokens: int, seed: int) -> dict[str, Any]:
    """Of summed losses [passages, text, nothing and CHANNELS]."""
    chance = np.random.default_rng(seed)
    picked = chance.integers(0, len(totals), (_RESAMPLES, len(totals)))
    resampled = totals[picked].sum(1)
    figures: dict[str, Any] = {
        "passages": len(totals),
        "tokens": tokens,
        "text": {"nll": _round(totals[:, 0].sum() / tokens)},
        "none": {"nll": _round(totals[:, 1].sum() / tokens)},
    }
    for column, name in enumerate(CHANNELS, start=2):
        low, high = np.quantile(_recovered(resampled, column), (0.025, 0.975))
        figures[name] = {
            "nll": _round(totals[:, column].sum() / tokens),
            "recovered": _round(float(_recovered(totals.sum(0, keepdims=True), column)[0])),
            "interval": [_round(low), _round(high)],
        }
    return figures


def _recovered(totals: Figures, column: int) -> Figures:
    return np.asarray((totals[:, 1] - totals[:, column]) / (totals[:, 1] - totals[:, 0]))


def _round(number: float) -> float:
    return round(float(number), 4)
