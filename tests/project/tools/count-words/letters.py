"""How long words are."""

from __future__ import annotations


def letters_of(words: list[str]) -> dict[str, int]:
    return {word: len(word) for word in words}
