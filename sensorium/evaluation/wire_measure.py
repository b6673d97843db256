"""How much of a passage comes across by each way, measured sample by sample; what was measured is kept by lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from blake3 import blake3

from sensorium.errors import ModelError, OperatorError
from sensorium.evaluation.wire_numbers import Floats, is_bit_equal, kl_nats
from sensorium.evaluation.wire_pair import Pair, Read
from sensorium.evaluation.wire_tasks import Continuation, Passage, TaskSet
from sensorium.evaluation.wire_ways import Others, Sent, Way
from sensorium.model.contract import Ask, Message, Reply
from sensorium.model.transformers import TransformersModel
from sensorium.parts import Latent
from sensorium.project.line_file import LineFile

__all__ = ["LINES", "Line", "measure_ways"]

LINES = "measured.jsonl"
"""Name of the file of lines."""
_REPLY_TOKENS = 16
_CONTROLLED = 3
_FOLLOWING = 3


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One passage by one way. Lists have a number for each continuation, losses are nats per token."""

    settings: str
    passage: str
    """Digest of its text."""
    rung: str
    by: str
    none: list[float]
    """Losses without a message."""
    text: list[float]
    """Losses behind the text."""
    loss: list[float]
    shuffled: list[float] | None
    """Losses behind another passage; None where this was not measured."""
    noise: list[float] | None
    kl: list[float]
    top1: list[float]
    is_bit_equal: list[bool]
    left: list[int]
    """For each question, the token at which a free greedy run leaves the text's."""
    is_right: list[bool]
    is_text_right: list[bool]
    num_bytes: int
    num_tokens: int
    milliseconds: float
    """From when the receiver has the frame open until it could say its first word."""


@dataclass(frozen=True, slots=True)
class _Forced:
    """What a model says of words that it is made to say."""

    loss: float
    likeliest: tuple[int, ...]
    logits: Floats | None
    first_token_s: float


@dataclass(frozen=True, slots=True)
class _Reference:
    """What a receiver says behind the text, and without a message."""

    none: list[float]
    forced: list[_Forced]
    replies: list[str]
    """Free replies to the questions."""
    likeliest: list[tuple[int, ...]]
    """What it says at each token of its own replies."""


async def measure_ways(
    pair: Pair,
    ways: Sequence[Way],
    tasks: TaskSet,
    *,
    num_samples: int,
    keep: Path | None = None,
    see: Callable[[int, int], None] = lambda done, total: None,
) -> list[Line]:
    """A line for each passage and way.

    Args:
        pair: Sender and receiver.
        ways: What is measured.
        tasks: By what.
        num_samples: How many of its passages, from the first.
        keep: A file of lines; those that stand in it are not measured again.
        see: Hears how many are done, of how many.

    Raises:
        ModelError: A model failed.
        CallerError: A passage does not fit into a model's context, or the file of lines is none.
        OperatorError: The disk does not let something be read or written.
    """
    kept = _Lines(keep, _settings(pair, tasks))
    meter = _Meter(pair, tasks)
    passages = tasks.passages[:num_samples]
    total = len(ways) * len(passages)
    for number, passage in enumerate(passages):
        missing = [way for way in ways if kept.get(passage, way) is None]
        see(number * len(ways) + len(ways) - len(missing), total)
        if not missing:
            continue
        read = await pair.read(passage.text)
        reference = await meter.reference(read, passage)
        for done, way in enumerate(missing, 1):
            kept.add(await meter.line(kept.settings, number, read, reference, way))
            see(number * len(ways) + len(ways) - len(missing) + done, total)
        pair.let_go()
    found = [kept.get(passage, way) for way in ways for passage in passages]
    return [line for line in found if line is not None]


def _settings(pair: Pair, tasks: TaskSet) -> str:
    """Digest of all that decides a line, but passage and way."""
    ends = [(party.end.weights, party.end.runtime, party.end.chunks) for party in (pair.sender, pair.receiver)]
    return blake3(msgspec.json.encode([ends, tasks.digest, _REPLY_TOKENS, _CONTROLLED, _FOLLOWING])).hexdigest()


def _digest(text: str) -> str:
    return blake3(text.encode()).hexdigest()


class _Lines:
    """Lines of one setting, in a file where there is one."""

    def __init__(self, path: Path | None, settings: str) -> None:
        self.settings = settings
        self._file = None if path is None else LineFile(path)
        self._by_key: dict[tuple[str, str, str], Line] = {}
        try:
            for told in () if self._file is None else self._file.news():
                self._take(told.data)
        except OSError as error:
            raise OperatorError(f"{path} cannot be read: {error.strerror}; make it readable") from error

    def get(self, passage: Passage, way: Way) -> Line | None:
        """The line of a passage and way; None where it was not measured."""
        return self._by_key.get((_digest(passage.text), way.rung, way.by))

    def add(self, line: Line) -> None:
        """Keeps a line; it is on the disk when this returns."""
        self._by_key[line.passage, line.rung, line.by] = line
        try:
            if self._file is not None:
                self._file.add(msgspec.json.encode(line) + b"\n")
        except OSError as error:
            raise OperatorError(f"a line cannot be kept: {error.strerror}; free some space") from error

    def _take(self, data: bytes) -> None:
        try:
            line = msgspec.json.decode(data, type=Line)
        except msgspec.DecodeError:
            return  # of another version: measured again
        if line.settings == self.settings:
            self._by_key[line.passage, line.rung, line.by] = line


class _Meter:
    """Measures a way by a passage."""

    def __init__(self, pair: Pair, tasks: TaskSet) -> None:
        self.pair = pair
        self.tasks = tasks

    async def reference(self, read: Read, passage: Passage) -> _Reference:
        """What the receiver says behind the text, and without a message."""
        nothing, text = self.pair.text(read, ""), self.pair.text(read, passage.text)
        none = [one.loss for one in await self._forced(nothing, passage)]
        forced = await self._forced(text, passage, logits=True)
        asked = [one for one in passage.continuations if one.key]
        replies = [await self._reply(text, one) for one in asked]
        likeliest = [await self._likeliest(text, one, reply) for one, reply in zip(asked, replies, strict=True)]
        return _Reference(none, forced, replies, likeliest)

    async def line(self, settings: str, number: int, read: Read, reference: _Reference, way: Way) -> Line:
        """What comes across."""
        passage = self.tasks.passages[number]
        sent = await way.send(self.pair, read)
        forced = await self._forced(sent.latent, passage, logits=True)
        pairs = list(zip(reference.forced, forced, strict=True))
        bits = [is_bit_equal(_logits(text), _logits(one)) for text, one in pairs]
        left, is_right, is_text_right = await self._free(sent.latent, passage, reference, are_same=all(bits))
        has_controls = number < _CONTROLLED
        return Line(
            settings=settings,
            passage=_digest(passage.text),
            rung=way.rung,
            by=way.by,
            none=reference.none,
            text=[one.loss for one in reference.forced],
            loss=[one.loss for one in forced],
            shuffled=await self._shuffled(number, way) if has_controls else None,
            noise=await self._noise(number, sent) if has_controls else None,
            kl=[kl_nats(_logits(text), _logits(one)) for text, one in pairs],
            top1=[_share_equal(text.likeliest, one.likeliest) for text, one in pairs],
            is_bit_equal=bits,
            left=left,
            is_right=is_right,
            is_text_right=is_text_right,
            num_bytes=sent.num_bytes,
            num_tokens=sent.num_tokens,
            milliseconds=1000 * forced[0].first_token_s,
        )

    async def _free(
        self, latent: Latent, passage: Passage, reference: _Reference, *, are_same: bool
    ) -> tuple[list[int], list[bool], list[bool]]:
        """Where free replies leave the text's, which are right, and which of the text's are.

        A reply that nowhere leaves the text's is the text's: as long as both say the same, the next token of either
        comes behind the same words. Nothing is asked where all bits were the same before (`are_same`).
        """
        left: list[int] = []
        right: list[bool] = []
        text_right: list[bool] = []
        asked = [one for one in passage.continuations if one.key]
        for one, text_reply, told in zip(asked, reference.replies, reference.likeliest, strict=True):
            own = told if are_same else await self._likeliest(latent, one, text_reply)
            at = next((place for place, pair in enumerate(zip(told, own, strict=True)) if len(set(pair)) > 1), None)
            reply = text_reply if at is None and (told or are_same) else await self._reply(latent, one)
            left.append(len(told) if at is None else at)
            right.append(one.is_right(reply))
            text_right.append(one.is_right(text_reply))
        return left, right, text_right

    async def _shuffled(self, number: int, way: Way) -> list[float]:
        """Losses behind the passage that follows, by the same way."""
        sent = await way.send(self.pair, await self.pair.read(self._following(number)[0].text))
        return [one.loss for one in await self._forced(sent.latent, self.tasks.passages[number])]

    async def _noise(self, number: int, sent: Sent) -> list[float]:
        """Losses behind noise of the same size."""
        reads = [await self.pair.read(one.text) for one in self._following(number)]
        words = [word for read in reads for word in read.text.split()]
        ids = [int(entry) for read in reads for entry in read.ids]
        latent = sent.noise(np.random.default_rng(number), Others(words, ids))
        return [one.loss for one in await self._forced(latent, self.tasks.passages[number])]

    def _following(self, number: int) -> list[Passage]:
        passages = self.tasks.passages
        return [passages[(number + away) % len(passages)] for away in range(1, _FOLLOWING + 1)]

    async def _forced(self, latent: Latent, passage: Passage, *, logits: bool = False) -> list[_Forced]:
        """What the receiver says of each continuation; nothing that it read before is used for the first."""
        made: list[_Forced] = []
        for place, one in enumerate(passage.continuations):
            score = await self._model.score(_asked(latent, one.request), one.answer, logits=logits, fresh=place == 0)
            loss, first_s = -sum(score.logs) / len(score.logs), score.usage.first_token_s
            made.append(_Forced(loss, score.likeliest, score.logits, first_s))
        return made

    async def _likeliest(self, latent: Latent, one: Continuation, reply: str) -> tuple[int, ...]:
        if not reply:
            return ()
        return (await self._model.score(_asked(latent, one.request), reply)).likeliest

    async def _reply(self, latent: Latent, one: Continuation) -> str:
        ask = Ask(_asked(latent, one.request), max_tokens=_REPLY_TOKENS)
        async for event in self._model.ask(ask):
            if isinstance(event, Reply):
                return event.text
        raise ModelError("the language model ended a reply without telling of it")

    @property
    def _model(self) -> TransformersModel:
        return self.pair.receiver.model


def _asked(latent: Latent, request: str) -> tuple[Message, ...]:
    return (Message("user", request, parts=(latent,)),)


def _logits(forced: _Forced) -> Floats:
    assert forced.logits is not None, "they were asked for"
    return forced.logits


def _share_equal(text: Sequence[int], channel: Sequence[int]) -> float:
    return sum(one == other for one, other in zip(text, channel, strict=True)) / len(text)
