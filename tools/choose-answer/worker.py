"""An answer that was written before anybody looked, held against what was found."""

from __future__ import annotations

import re
from typing import Any

_HAN = re.compile(r"[\u4e00-\u9fff]")
_NOT_FOUND = 'I could not find "{phrase}" in the picture, so nothing was cut out.'
_NOT_FOUND_CHINESE = "图中没有找到“{phrase}”，所以什么也没有抠出来。"


class ChooseAnswer:
    """Trusts an answer only as far as what it is about was found."""

    def setup(self, checkpoints: dict[str, str], device: str) -> None:
        """Needs no weights."""

    def run(self, batch: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{"answer": choose(call["answer"], call.get("phrase"), call.get("count"))} for call in batch]

    def close(self) -> None:
        """Holds nothing."""


def choose(answer: str, phrase: str | None, count: float | None) -> str:
    """The answer; where something was looked for and not found, a sentence that says so in the answer's language."""
    if phrase is None or count is None or count > 0:
        return answer
    sentence = _NOT_FOUND_CHINESE if _HAN.search(answer) else _NOT_FOUND
    return sentence.replace("{phrase}", phrase.strip())
