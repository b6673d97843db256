"""What the chunks of a streamed reply add up to."""

from __future__ import annotations

import json
from time import perf_counter
from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from sensorium.errors import ModelError, OperatorError
from sensorium.model.contract import Ask, Reply, Usage
from sensorium.model.fitting import misfit
from sensorium.model.vllm.endpoints import Endpoint
from sensorium.model.vllm.refusal import Passing, refusal

__all__ = ["Reading"]

_SHOWN = 200
_MOST_CHARS = 1000
"""Most characters that any token has. A server that goes on after `max_tokens` of them would fill the memory."""
_Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _ToolCall(msgspec.Struct):
    index: _Count = 0
    function: _Function = msgspec.field(default_factory=_Function)


class _Delta(msgspec.Struct):
    content: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(msgspec.Struct):
    delta: _Delta = msgspec.field(default_factory=_Delta)
    finish_reason: str | None = None


class _Details(msgspec.Struct):
    cached_tokens: _Count | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: _Count = 0
    completion_tokens: _Count = 0
    prompt_tokens_details: _Details | None = None


class _Chunk(msgspec.Struct):
    model: str | None = None
    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: Any = None


class Reading:
    """A reply as it comes. A call that a server tells of as one comes whole in the end, and nothing before.

    Args:
        ask: What was asked for.
        endpoint: Who answers.
        served: The model that has to answer.
    """

    def __init__(self, ask: Ask, endpoint: Endpoint, served: str) -> None:
        self._ask = ask
        self._endpoint = endpoint
        self._served = served
        self._began_s = perf_counter()
        self._first_token_s = 0.0
        self._pieces: list[str] = []
        self._num_calls = 0
        self._call_name = ""
        self._call_arguments = ""
        self._chars = 0
        self._finish: str | None = None
        self._usage = _Usage()

    @property
    def is_call(self) -> bool:
        """Whether a call has been heard, of which nothing was passed on."""
        return bool(self._call_name)

    def take(self, data: str) -> str:
        """The characters that the reply goes on with; none where the chunk brings other news.

        Raises:
            Passing: The chunk is none, or tells of an error that may pass.
            ModelError: It tells of another error, or the reply has no end.
            CallerError: It says that the prompt is too long.
            OperatorError: Another model answers.
        """
        if data == "[DONE]":
            return ""
        try:
            chunk = msgspec.json.decode(data, type=_Chunk)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise self._passing(f"sends what is no chunk of a reply ({error}): {data[:_SHOWN]!r}") from error
        if chunk.error is not None:
            raise refusal(self._endpoint, _code(chunk.error), bytes(data, "utf-8"), {})
        self._require_model(chunk.model)
        self._usage = chunk.usage or self._usage
        return "".join(self._piece(choice) for choice in chunk.choices[:1])

    def reply(self) -> Reply:
        """The whole reply, after the last chunk.

        Raises:
            Passing: The stream ended before the reply did.
            ModelError: It is none that the ask allows.
        """
        if self._finish is None:
            raise self._passing("ended its stream before the reply was whole")
        if self._finish not in ("stop", "length", "tool_calls"):
            raise self._passing(f"gave the reply up, as {self._finish!r}")
        text, finish = self._text(), "length" if self._finish == "length" else "stop"
        fault = misfit(text, self._ask) if finish == "stop" else ""
        fault = f"it made {self._num_calls} calls where one was asked for" if self._num_calls > 1 else fault
        if fault:
            raise ModelError(
                f"the server {self._endpoint.name} said {text[:_SHOWN]!r}; {fault}. It does not hold the reply to what "
                "was asked for: is it vLLM, with structured outputs?"
            )
        return Reply(text, self._used(), _finish(finish))

    def _text(self) -> str:
        """What was said; of a call its name and arguments as one object, which is no JSON where these are none."""
        if self._ask.calls is None or not self._call_name:
            return "".join(self._pieces)
        return f'{{"name": {json.dumps(self._call_name)}, "arguments": {self._call_arguments or "{}"}}}'

    def _hear_call(self, call: _ToolCall) -> None:
        name, arguments = call.function.name or "", call.function.arguments or ""
        self._num_calls = max(self._num_calls, call.index + 1)
        self._call_name += name
        self._call_arguments += arguments
        self._chars += len(name) + len(arguments)

    def _piece(self, choice: _Choice) -> str:
        self._finish = choice.finish_reason or self._finish
        for call in choice.delta.tool_calls or ():
            self._hear_call(call)
        piece = choice.delta.content or ""
        if piece:
            self._first_token_s = self._first_token_s or perf_counter() - self._began_s
            self._pieces.append(piece)
            self._chars += len(piece)
        if self._chars > self._ask.max_tokens * _MOST_CHARS:
            raise ModelError(
                f"the server {self._endpoint.name} said {self._chars:,} characters and goes on, where "
                f"{self._ask.max_tokens} tokens were asked for: is it vLLM?"
            )
        return piece

    def _require_model(self, model: str | None) -> None:
        if model != self._served:
            raise OperatorError(
                f"the server {self._endpoint.name} answered as model {_short(model)!r}, and the profile wants "
                f"{self._served!r}; set served: in the profile, or serve that model"
            )

    def _used(self) -> Usage:
        used = self._usage
        cached = used.prompt_tokens_details.cached_tokens if used.prompt_tokens_details else None
        seconds = perf_counter() - self._began_s
        return Usage(used.prompt_tokens, used.completion_tokens, cached or 0, self._first_token_s, seconds)

    def _passing(self, what: str) -> Passing:
        return Passing(ModelError(f"the server {self._endpoint.name} {what}", can_retry=True))


def _short(name: str | None) -> str | None:
    return name and name[:_SHOWN]


def _finish(told: str) -> Literal["stop", "length"]:
    return "length" if told == "length" else "stop"


def _code(error: Any) -> int:
    """The HTTP status that an error in a stream stands for; 500 where it tells none."""
    try:
        code = int(error["code"])
    except (ValueError, TypeError, KeyError):
        return 500
    return code if 100 <= code <= 599 else 500
