"""A conversation so far, for people."""

from __future__ import annotations

import typer

from sensorium.project.conversation import Conversation
from sensorium.project.turn import Turn

__all__ = ["counted", "opening", "print_turn"]


def opening(conversation: Conversation) -> str:
    """What is talked with, how many turns it goes on with, and what is at hand."""
    at_hand = f", {' and '.join(conversation.at_hand)} attached" if conversation.at_hand else ""
    if conversation.session is None:
        return f"{conversation.graph.name}{at_hand}"
    turns = conversation.turns
    not_done = [turn for turn in turns if turn.status != "done"]
    lost = f" ({len(not_done)} without an answer)" if not_done else ""
    going_on = f"goes on with {counted(len(turns))}{lost}" if turns else "is new"
    return f"{conversation.graph.name}, session {conversation.session.name} {going_on}{at_hand}"


def counted(count: int) -> str:
    """A number of turns in words."""
    return "1 turn" if count == 1 else f"{count} turns"


def print_turn(turn: Turn) -> None:
    """What was said, and to standard error how the turn ended where it is not done."""
    typer.echo(f"> {turn.request}")
    if turn.answer:
        typer.echo(turn.answer)
    if turn.status != "done":
        typer.echo(f"({turn.status}{f': {turn.error.message}' if turn.error is not None else ''})", err=True)
