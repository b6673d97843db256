"""A conversation: turns in order, and the picture and sound that are at hand. Each turn is a run of a graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sensorium.admit import Admission
from sensorium.agent.task import Call
from sensorium.errors import CallerError, SensoriumError
from sensorium.events import Event, ToolCalled
from sensorium.graph import Graph, Result, RunOptions
from sensorium.graph.run import new_run_id
from sensorium.parts import Audio, Data, Image, Text, Value
from sensorium.project.session import Session, SessionMessage
from sensorium.project.turn import Turn, gather

__all__ = ["Conversation"]

_HELD = ("image", "audio")
"""What can be at hand: each is a kind, and the name of the graph's port that takes it."""


class Conversation:
    """Turns of a graph that takes a `request` and, where it has such ports, `image`, `audio` and `history`.

    Args:
        graph: The graph that answers.
        admission: What may come in.
        session: Where turns are kept; None keeps them in memory.

    Raises:
        CallerError: The graph takes no `request`, or gives no `answer`; or the session cannot be made sense of.
        OperatorError: The session cannot be read.
    """

    def __init__(self, graph: Graph, admission: Admission, session: Session | None = None) -> None:
        if "request" not in graph.inputs or "answer" not in graph.outputs:
            raise CallerError(
                f"graph {graph.name!r} can't be talked to; it needs an input `request` and an output `answer`"
            )
        self.graph = graph
        self.session: Session | None = None
        self._admission = admission
        self._turns: dict[str, Turn] = {}
        self._attached: dict[str, Value] = {}
        if session is not None:
            self.resume(session)

    @property
    def turns(self) -> list[Turn]:
        """All turns so far, however they ended, in the order in which they began."""
        return list(self._turns.values())

    @property
    def at_hand(self) -> dict[str, Value]:
        """What was attached last, by port of the graph. It stays at hand until something takes its place."""
        held: dict[str, Value] = {}
        for turn in self._turns.values():
            held.update(turn.at_hand)
        held.update(self._attached)
        return {port: part for port, part in held.items() if port in self.graph.inputs}

    def resume(self, session: Session) -> None:
        """Goes on with the turns and attachments of a session.

        Raises:
            CallerError: The session cannot be made sense of; the conversation stays as it was.
            OperatorError: The session cannot be read; likewise.
        """
        self._turns = self._with_later_ends(gather(session.read(), {}))
        self._attached = {}
        self.session = session

    def refresh(self) -> int:
        """How many turns other processes have begun or ended in the session since; they count from here on.

        Raises:
            CallerError: The session was removed, or cannot be made sense of.
            OperatorError: The session cannot be read.
        """
        if self.session is None:
            return 0
        before = self._turns
        self._turns = self._with_later_ends(gather(self.session.news(), before))
        return sum(before.get(key) != turn for key, turn in self._turns.items())

    def save(self, session: Session) -> None:
        """Keeps this conversation, and what follows, under a session's name.

        Raises:
            CallerError: The name is taken by another conversation.
            OperatorError: The disk is full or cannot be written.
        """
        session.add((message for turn in self._turns.values() for message in turn.messages), is_new=True)
        self._turns = gather(session.read(), {})
        self.session = session

    def clear(self) -> None:
        """Starts anew: no turns, nothing at hand, no session."""
        self._turns, self._attached, self.session = {}, {}, None

    def attach(self, path: str) -> Value:
        """Takes a picture or a sound into the hand, in place of the one before.

        Raises:
            CallerError: The file is neither, or the graph takes none.
        """
        if not Path(path).is_file():
            raise CallerError(f"{path!r} is not a file that is there; attach a picture or a sound")
        refusals: list[str] = []
        for port in _HELD:
            if port not in self.graph.inputs:
                continue
            try:
                part = self._admission.admit(Path(path), self.graph.inputs[port], name=port)
            except CallerError as error:
                refusals.append(str(error))
                continue
            self._attached[port] = part
            return part
        raise CallerError("\n".join(refusals) or f"graph {self.graph.name!r} takes no attachments")

    def take(self) -> list[Image | Audio]:
        """Takes the picture and the sound that came with the last answer into the hand, in place of those before.

        Raises:
            CallerError: It came with none that the graph takes.
        """
        answered = [turn for turn in self._turns.values() if turn.status == "done"]
        made = answered[-1].media.values() if answered else ()
        fitting = {
            part.kind: part for part in made if isinstance(part, Image | Audio) and part.kind in self.graph.inputs
        }
        if not fitting:
            raise CallerError("the last answer came with no picture or sound to talk about; attach a file")
        self._attached.update(fitting)
        return list(fitting.values())

    async def turn(self, request: str, options: RunOptions) -> Result:
        """Runs the graph on a request. The request is kept before the run begins, and how it ended afterwards.

        Raises:
            CallerError: The request is not text, and nothing was begun; or the session was removed.
            OperatorError: The session cannot be written. Where that is found when the run is done, `result` has it.
            SensoriumError: The run is not done, unless `options` say not to raise.
        """
        self.refresh()
        self._admission.admit(request, self.graph.inputs["request"], name="request")
        inputs = self._inputs(request)
        turn = Turn(request=request, at_hand=self.at_hand, run=options.run or new_run_id())
        heard = _Heard(options.on_event)
        self._begin(turn)
        try:
            result = await self.graph.arun(inputs, options=replace(options, run=turn.run, on_event=heard.see))
        except BaseException as error:
            with suppress(SensoriumError):  # the turn then stands there as interrupted, and the error is worth more
                self._end(turn.stopped(error))
            raise
        try:
            self._end(replace(turn.ended(result), gave=tuple(heard.gave)))
        except SensoriumError as error:
            error.result = result
            raise
        return result

    def _with_later_ends(self, turns: dict[str, Turn]) -> dict[str, Turn]:
        """Turns whose run went on after they were written down have the end that it then came to."""
        return {key: self._with_later_end(turn) for key, turn in turns.items()}

    def _with_later_end(self, turn: Turn) -> Turn:
        if turn.run is None or turn.status == "done":
            return turn
        try:
            result = self.graph.result(turn.run)
        except CallerError:
            return turn
        return turn.ended(result) if result.status in ("done", "refused") else turn

    def _inputs(self, request: str) -> dict[str, Value]:
        inputs: dict[str, Value] = {"request": Text(request), **self.at_hand}
        said = [entry for turn in self._turns.values() if turn.status == "done" for entry in _entries(turn)]
        if "history" in self.graph.inputs and said:
            inputs["history"] = Data(said)
        return inputs

    def _begin(self, turn: Turn) -> None:
        self._write(turn.messages)
        self._turns[str(turn.run)] = turn
        self._attached = {}

    def _end(self, turn: Turn) -> None:
        assert turn.status != "interrupted"
        self._turns[str(turn.run)] = turn
        self._write([turn.reply(turn.status)])

    def _write(self, messages: Iterable[SessionMessage]) -> None:
        if self.session is not None:
            self.session.add(messages)


@dataclass(frozen=True, slots=True)
class _Heard:
    """What tools gave in a turn, while whoever watches sees its events."""

    watcher: Callable[[Event], None] | None
    gave: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    def see(self, event: Event) -> None:
        if isinstance(event, ToolCalled):
            failed = event.message if event.status == "failed" else ""
            self.gave.append(Call(event.tool, event.outputs, failed).told)
        if self.watcher is not None:
            self.watcher(event)


def _entries(turn: Turn) -> Iterator[dict[str, Any]]:
    """The two messages of a turn as an agent reads its history; what tools gave was told with the request."""
    gave = {"gave": [[source, _plain(text)] for source, text in turn.gave]} if turn.gave else {}
    yield {"role": "user", "text": turn.request, **gave}
    yield {"role": "assistant", "text": _plain(turn.answer)}


def _plain(text: str) -> str:
    """A text of a model or a tool, which may hold a NUL; what is admitted as an input holds none."""
    return text.replace("\0", "\ufffd")
