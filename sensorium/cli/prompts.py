"""Prompts on the terminal: each exactly as it was sent, and what another began with too told by a count."""

from __future__ import annotations

from itertools import takewhile

__all__ = ["ShownPrompts"]

_LEAST_CHARS = 200
"""A common beginning that is shorter is shown again: a reader is quicker than a reference."""


class ShownPrompts:
    """The prompts of a run that were shown, numbered from 1."""

    def __init__(self) -> None:
        self._prompts: list[str] = []

    def lines(self, node: str, model: str, prompt: str) -> tuple[str, str, str]:
        """The next prompt: its heading, what is told of its beginning, and the rest of it as it was sent.

        The rest begins with a line. What stands before it is, to the character, the beginning of the prompt of that
        number; where what is told is empty, the rest is all.
        """
        number, same = self._longest(prompt)
        self._prompts.append(prompt)
        heading = f"--- prompt {len(self._prompts)}: {node} sends to {model}"
        if same < _LEAST_CHARS:
            return heading, "", prompt
        told = f"(the same {same:,} characters that prompt {number} begins with, then:)"
        return heading, told, prompt[same:]

    def _longest(self, prompt: str) -> tuple[int, int]:
        """The number of the first shown prompt with the longest beginning in common, and how long that is."""
        best = (0, 0)
        for number, shown in enumerate(self._prompts, 1):
            pairs = zip(shown.splitlines(keepends=True), prompt.splitlines(keepends=True), strict=False)
            length = sum(len(line) for line, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
            if length > best[1]:
                best = (number, length)
        return best
