"""Cards as a picture: what is recovered against the bytes of a token."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from sensorium.errors import CallerError, OperatorError
from sensorium.latent.cards import Card

__all__ = ["draw", "require_drawable"]


def require_drawable(path: Path) -> None:
    """Keeps what is measured for minutes from ending without its picture.

    Raises:
        CallerError: The name ends neither in .png nor in .svg.
        OperatorError: matplotlib is not installed.
    """
    if path.suffix.lower() not in (".png", ".svg"):
        raise CallerError(f"{path} cannot be drawn: give a name that ends in .png or .svg")
    if importlib.util.find_spec("matplotlib") is None:
        raise OperatorError("a plot needs matplotlib; install it with: pip install 'sensorium[plot]'")


def draw(cards: Sequence[Card], path: Path) -> None:
    """Writes the picture."""
