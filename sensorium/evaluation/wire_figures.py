"""Figures of what was measured about a way: shares with their intervals, and the card that holds them."""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import numpy as np
import numpy.typing as npt

from sensorium.evaluation.wire_measure import Line
from sensorium.evaluation.wire_pair import Pair
from sensorium.evaluation.wire_tasks import TaskSet
from sensorium.evaluation.wire_ways import Way
from sensorium.latent.cards import Card, Controls, Interval

__all__ = ["LEAST_SAMPLES", "card_of", "machine_kind", "recovered"]

LEAST_SAMPLES = 8
"""From fewer, no card is kept: an interval over them would claim more than is known."""
_DRAWS = 2000

_Losses = npt.NDArray[np.float64]


def recovered(none: _Losses, text: _Losses, channel: _Losses) -> Interval:
    """The recovered share, with the interval that holds it in 95 of 100 draws of the samples.

    Args:
        none: Losses without a message, [samples, continuations], nats per token.
        text: Losses behind the text.
        channel: Losses behind what came across.
    """
    gained, possible = (none - channel).sum(-1), (none - text).sum(-1)
    drawn = np.random.default_rng(0).integers(len(gained), size=(_DRAWS, len(gained)))
    shares = gained[drawn].sum(-1) / possible[drawn].sum(-1)
    mean = float(gained.sum() / possible.sum())
    low, high = (float(share) for share in np.percentile(shares, (2.5, 97.5)))
    return Interval(mean, min(low, mean), max(high, mean))


def card_of(pair: Pair, way: Way, tasks: TaskSet, lines: Sequence[Line]) -> Card:
    """The card of a way, from its lines: one or more."""
    none = _losses(lines, lambda line: line.none)
    text, loss = _losses(lines, lambda line: line.text), _losses(lines, lambda line: line.loss)
    sender, receiver = pair.sender, pair.receiver
    return Card(
        rung=way.rung,
        by=way.by,
        sender=sender.end.weights,
        receiver=receiver.end.weights,
        sender_name=sender.name,
        receiver_name=receiver.name,
        sender_runtime=sender.end.runtime,
        receiver_runtime=receiver.end.runtime,
        tasks=tasks.name,
        tasks_digest=tasks.digest,
        num_samples=len(lines),
        recovered=recovered(none, text, loss),
        by_task={task: recovered(none[:, places], text[:, places], loss[:, places]) for task, places in _places(tasks)},
        kl=_mean([line.kl for line in lines]),
        top1=_mean([line.top1 for line in lines]),
        bit_equal=_mean([line.is_bit_equal for line in lines]),
        divergence=_mean([line.left for line in lines]),
        score=_mean([line.is_right for line in lines]),
        text_score=_mean([line.is_text_right for line in lines]),
        bytes_per_token=sum(line.num_bytes for line in lines) / sum(line.num_tokens for line in lines),
        milliseconds=median(line.milliseconds for line in lines),
        controls=Controls(0.0, _control(lines, lambda line: line.shuffled), _control(lines, lambda line: line.noise)),
        date=datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        machine=machine_kind(),
    )


def machine_kind() -> str:
    """Cores, processor family and whether a GPU is there."""
    gpu = "a GPU" if Path("/proc/driver/nvidia/version").exists() else "no GPU"
    return f"{os.cpu_count()} CPU cores, {platform.machine()}, {gpu}"


def _places(tasks: TaskSet) -> list[tuple[str, list[int]]]:
    return [(task, list(places)) for task, places in tasks.tasks.items()]


def _control(lines: Sequence[Line], losses: Callable[[Line], list[float] | None]) -> float:
    """The share that a control recovers, over the samples for which it was measured."""
    measured = [line for line in lines if losses(line) is not None]
    none, text = (np.asarray([getattr(line, name) for line in measured]) for name in ("none", "text"))
    return float((none - _losses(measured, losses)).sum() / (none - text).sum())


def _losses(lines: Sequence[Line], losses: Callable[[Line], list[float] | None]) -> _Losses:
    return np.asarray([losses(line) for line in lines], dtype=np.float64)


def _mean(values: Sequence[Sequence[float]]) -> float:
    return float(np.mean(np.asarray(values, dtype=np.float64)))
