"""Chat templates: from messages to the exact text that a model reads."""

from __future__ import annotations

import json
import mmap
import re
import struct
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from sensorium.errors import OperatorError
from sensorium.model.contract import Message

__all__ = ["ChatTemplate", "harmless"]

_GGUF_KEY = b"tokenizer.chat_template"
_GGUF_STRING = 8
_CONTROL = re.compile(r"<\|[^\s|<>]{1,60}\|>|</?s>|<(?:start|end)_of_turn>|<(?:bos|eos|pad|unk)>|\[/?INST\]|<</?SYS>>")
"""How models write the tokens that mark turns."""


class ChatTemplate:
    """A checkpoint's own chat template.

    What stands in a message can never open or close a turn: a control token in it is broken by a space.

    Args:
        source: The template, in Jinja as checkpoints carry it.
        tokens: Text of special tokens that the template names, such as `bos_token`.
    """

    def __init__(self, source: str, tokens: dict[str, str] | None = None) -> None:
        self.source = source
        self._tokens = tokens or {}
        self._last: tuple[Sequence[Message], str] = ((), "")

    @classmethod
    def from_gguf(cls, path: Path) -> ChatTemplate:
        """The template in a GGUF file's header.

        Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. A key is its length in 8 bytes, its
        characters, its value's type in 4 bytes; a string is its length in 8 bytes and its characters.

        Raises:
            OperatorError: The file is missing, is no GGUF file, or has no template.
        """
        try:
            with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                if data[:4] != b"GGUF":
                    raise OperatorError(f"{path} is not a GGUF file; pull the checkpoint again")
                return cls(_gguf_string(data, _GGUF_KEY, path))
        except (OSError, ValueError, struct.error) as error:
            raise OperatorError(f"{path} cannot be read: {error}; pull the checkpoint again") from error

    @classmethod
    def from_directory(cls, directory: Path) -> ChatTemplate:
        """The template of a checkpoint in the transformers layout.

        Raises:
            OperatorError: There is none.
        """
        config: dict[str, Any] = {}
        declared = directory / "tokenizer_config.json"
        own = directory / "chat_template.jinja"
        try:
            if declared.is_file():
                config = json.loads(declared.read_text(encoding="utf-8"))
            source = own.read_text(encoding="utf-8") if own.is_file() else config.get("chat_template")
        except (OSError, ValueError) as error:
            raise OperatorError(f"{directory} cannot be read: {error}; pull the checkpoint again") from error
        if not isinstance(source, str):
            raise OperatorError(f"{directory} has no chat template; use an instruction-tuned checkpoint")
        return cls(source, {name: _token_text(config.get(name)) for name in ("bos_token", "eos_token")})

    def render(self, messages: Sequence[Message]) -> str:
        """The text that asks for a reply; a last message of the assistant is left open, for the reply to go on with.

        Raises:
            OperatorError: The template refuses the messages.
        """
        if isinstance(messages, tuple) and messages is self._last[0]:  # what is sent has just been shown
            return self._last[1]
        text = self._rendered(messages)
        self._last = (messages, text)
        return text

    def _rendered(self, messages: Sequence[Message]) -> str:
        # Jinja takes a tenth of a second to import, and a command that asks no model needs none.
        from jinja2 import TemplateError

        turns = [{"role": message.role, "content": harmless(message.content)} for message in messages]
        opening = str(turns.pop()["content"]) if turns and turns[-1]["role"] == "assistant" else ""
        try:
            text: str = self._template.render(messages=turns, add_generation_prompt=True, **self._tokens)
        except TemplateError as error:
            raise OperatorError(f"the checkpoint's chat template refuses the conversation: {error}") from error
        return text + opening

    @cached_property
    def _template(self) -> Any:
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        environment: Any = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        environment.globals.update(raise_exception=_raise, strftime_now=_now)
        environment.filters["tojson"] = _to_json
        return environment.from_string(self.source)


def harmless(text: str) -> str:
    """The same text, in which nothing can open or close a turn: every control token is broken by a space."""
    return _CONTROL.sub(_broken, text)


def _gguf_string(data: mmap.mmap, key: bytes, path: Path) -> str:
    head = struct.pack("<Q", len(key)) + key + struct.pack("<I", _GGUF_STRING)
    at = data.find(head)
    if at < 0:
        raise OperatorError(f"{path} has no chat template; use an instruction-tuned checkpoint")
    start = at + len(head) + 8
    (length,) = struct.unpack_from("<Q", data, start - 8)
    return data[start : start + length].decode("utf-8")


def _broken(match: re.Match[str]) -> str:
    return f"{match[0][:-1]} {match[0][-1]}"


def _to_json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _token_text(token: object) -> str:
    content = cast("dict[str, object]", token).get("content") if isinstance(token, dict) else token
    return content if isinstance(content, str) else ""


def _raise(message: str) -> None:
    from jinja2 import TemplateError

    raise TemplateError(message)


def _now(pattern: str) -> str:
    return datetime.now(UTC).strftime(pattern)
