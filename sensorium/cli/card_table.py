"""What was measured between two models, as a table on standard output."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sensorium.evaluation.wire_report import HEADS, card_row
from sensorium.latent.cards import Card

__all__ = ["print_cards"]

_LEAST_WIDTH = 140
"""Where nobody looks, or the terminal is narrow, lines are not cut: a figure in two lines is none."""


def print_cards(cards: Sequence[Card], wires: Sequence[str]) -> None:
    """Cards of two models, one line each, in the order in which they are given.

    Args:
        cards: At least one.
        wires: The graph's wires that join these models.
    """
    console = Console(highlight=False)
    console.width = max(console.width, _LEAST_WIDTH)
    one = cards[0]
    console.print(Text(f"{one.sender_name} to {one.receiver_name}", style="bold"), soft_wrap=True)
    for wire in wires:
        console.print(Text(f"  {wire}", style="dim"), soft_wrap=True)
    told = f"  {one.num_samples} samples of {one.tasks}; {one.receiver_runtime}; shares in per cent"
    console.print(Text(told, style="dim"), soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    for place, head in enumerate(HEADS):
        table.add_column(head, justify="left" if place == 0 else "right", no_wrap=True)
    for card in cards:
        table.add_row(*card_row(card))
    console.print(table)
