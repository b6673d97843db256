"""Counts words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sensorium.worker import Failed, Progress

from .letters import letters_of


class CountWords:
    def setup(self, checkpoints: dict[str, str], device: str) -> None:
        self.counted = 0

    def run(self, batch: list[dict[str, Any]]) -> Iterator[object]:
        results: list[dict[str, Any] | None] = []
        for index, call in enumerate(batch):
            words = call["text"].split()
            yield Progress(index, 0.5, f"{len(words)} words")
            if not words:
                yield Failed(index, "the text has no words; give at least one", kind="caller")
                results.append(None)
                continue
            self.counted += len(words)
            results.append({"count": len(words), "letters": letters_of(words)})
        yield results

    def close(self) -> None:
        self.counted = 0
