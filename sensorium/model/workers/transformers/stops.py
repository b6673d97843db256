"""Tokens as text, up to where a reply is to stop."""

from __future__ import annotations

from typing import Any

__all__ = ["Stops"]


class Stops:
    """Text of a reply as it comes; what could be the beginning of a stop text, or half a character, is held back.

    Args:
        tokenizer: The model's.
        stops: The reply ends before any of these.
    """

    def __init__(self, tokenizer: Any, stops: list[str]) -> None:
        self.pieces: list[str] = []
        """What was passed on."""
        self.has_stopped = False
        self._tokenizer = tokenizer
        self._stops = [stop for stop in stops if stop]
        self._ids: list[int] = []
        self._told = 0

    @property
    def text(self) -> str:
        """All that was passed on."""
        return "".join(self.pieces)

    def take(self, token: int) -> str:
        """The characters that are certain now."""
        self._ids.append(token)
        whole = self._decoded()
        ends = [whole.find(stop) for stop in self._stops if stop in whole]
        if ends:
            self.has_stopped = True
            return self._tell(whole, min(ends))
        return self._tell(whole, len(whole) - self._held_back(whole))

    def rest(self) -> str:
        """What was held back for nothing."""
        if self.has_stopped:
            return ""
        whole = self._decoded()
        return self._tell(whole, len(whole))

    def _decoded(self) -> str:
        text: str = self._tokenizer.decode(self._ids, skip_special_tokens=True)
        return text

    def _held_back(self, text: str) -> int:
        if text.endswith("\ufffd"):
            return len(text) - len(text.rstrip("\ufffd"))
        longest = max((len(stop) for stop in self._stops), default=1) - 1
        sizes = range(min(longest, len(text)), 0, -1)
        return next((size for size in sizes if any(stop.startswith(text[-size:]) for stop in self._stops)), 0)

    def _tell(self, text: str, end: int) -> str:
        piece = text[self._told : end]
        if piece:
            self.pieces.append(piece)
            self._told = end
        return piece
