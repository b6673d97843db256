"""Cards as people and as programs read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sensorium.evaluation.report import markdown_table
from sensorium.latent.cards import Card, Interval

__all__ = ["HEADS", "card_row", "cards_json", "cards_markdown"]

HEADS = (
    "rung", "recovered", "95 %", "copy", "questions", "KL", "top-1", "bits", "leaves at", "score (text)",
    "bytes/token", "ms", "shuffled", "noise",
)  # fmt: skip


def card_row(card: Card) -> tuple[str, ...]:
    """The cells of a card under `HEADS`; shares in per cent."""
    tasks = card.by_task
    return (
        card.rung if not card.by or card.rung.endswith(f"/{card.by}") else f"{card.rung} {card.by}",
        _share(card.recovered.mean),
        f"{_share(card.recovered.low)} to {_share(card.recovered.high)}",
        *(_share(tasks[task].mean) if task in tasks else "" for task in ("copy", "questions")),
        f"{card.kl:.4f}" if card.kl < 1 else f"{card.kl:.2f}",
        _share(card.top1),
        _share(card.bit_equal),
        f"{card.divergence:.1f}",
        f"{card.score:.2f} ({card.text_score:.2f})",
        f"{card.bytes_per_token:,.1f}" if card.bytes_per_token < 100 else f"{card.bytes_per_token:,.0f}",
        f"{card.milliseconds:,.0f}",
        _share(card.controls.shuffled),
        _share(card.controls.noise),
    )


def cards_markdown(cards: Sequence[Card]) -> str:
    """Cards as a table, with what they are of above it."""
    if not cards:
        return ""
    one = cards[0]
    title = f"{one.sender_name} to {one.receiver_name}, {one.num_samples} samples of {one.tasks}, {one.sender_runtime}:"
    return f"{title}\n\n{markdown_table(HEADS, [card_row(card) for card in cards])}"


def cards_json(cards: Sequence[Card]) -> list[dict[str, Any]]:
    """An object for each card; shares lie between 0 and 1, where `recovered` and controls may lie outside."""
    return [_object(card) for card in cards]


def _object(card: Card) -> dict[str, Any]:
    return {
        "rung": card.rung,
        "by": card.by,
        "sender": card.sender_name,
        "receiver": card.receiver_name,
        "sender_weights": card.sender,
        "receiver_weights": card.receiver,
        "runtime": card.receiver_runtime,
        "recovered": card.recovered.mean,
        "interval": _ends(card.recovered),
        "by_task": {task: {"recovered": told.mean, "interval": _ends(told)} for task, told in card.by_task.items()},
        "kl": card.kl,
        "top1": card.top1,
        "bit_equal": card.bit_equal,
        "divergence": card.divergence,
        "score": card.score,
        "text_score": card.text_score,
        "bytes_per_token": card.bytes_per_token,
        "milliseconds": card.milliseconds,
        "none": card.controls.none,
        "shuffled": card.controls.shuffled,
        "noise": card.controls.noise,
        "tasks": card.tasks,
        "tasks_digest": card.tasks_digest,
        "num_samples": card.num_samples,
        "date": card.date,
        "machine": card.machine,
    }


def _ends(interval: Interval) -> list[float]:
    return [interval.low, interval.high]


def _share(share: float) -> str:
    return f"{100 * share:.1f}"
