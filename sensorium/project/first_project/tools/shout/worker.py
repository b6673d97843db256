"""Says a text louder. This class is loaded in a process of its own, so heavy libraries may be imported at the top."""

from typing import Any


class Shout:
    """Upper case, with as many exclamation marks as are asked for."""

    def setup(self, checkpoints: dict[str, str], device: str) -> None:
        """Loads nothing."""

    def run(self, batch: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """A list of {text, times} becomes a list of {text}."""
        return [{"text": call["text"].upper() + "!" * int(call.get("times") or 1)} for call in batch]

    def close(self) -> None:
        """Gives nothing back."""
