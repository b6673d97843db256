"""What a server is sent of a conversation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sensorium.model.contract import Ask
from sensorium.model.template import harmless

__all__ = ["messages_of", "shown"]


def messages_of(ask: Ask) -> list[dict[str, Any]]:
    """The `messages` of a request. Nothing that stands in one can open or close a turn."""
    return [{"role": message.role, "content": harmless(message.content)} for message in ask.messages]


def shown(messages: Sequence[dict[str, Any]]) -> str:
    """The same messages for people: each behind its role in brackets."""
    return "\n".join(f"[{message['role']}]\n{message['content']}" for message in messages)
