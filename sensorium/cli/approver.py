"""Questions to the person at the terminal, before a call that needs an approval."""

from __future__ import annotations

import asyncio
import os
import sys
import termios

import typer

from sensorium.admit import plain
from sensorium.cli.inputs import read_inputs
from sensorium.cli.values import all_words_of
from sensorium.cli.watch import Watcher
from sensorium.errors import CallerError, PausedError
from sensorium.graph import Question, Verdict
from sensorium.parts import Value
from sensorium.store import Store

__all__ = ["TerminalApprover"]

_HELP = "y: yes    n: refuse    NAME=VALUE: change an input first (@FILE reads one)    Ctrl-D: leave it open"

_MOST_BYTES = 4096
"""What a terminal hands over of a line at most."""


class TerminalApprover:
    """Asks on standard error and reads lines of standard input, one question at a time.

    Args:
        watcher: Makes way for questions.
        store: Takes the media that the person gives.
    """

    @classmethod
    def here(cls, watcher: Watcher, store: Store) -> TerminalApprover | None:
        """One that asks; None where no person sits at a terminal."""
        return cls(watcher, store) if sys.stdin.isatty() and sys.stderr.isatty() else None

    def __init__(self, watcher: Watcher, store: Store) -> None:
        self._watcher = watcher
        self._store = store
        self._one_at_a_time = asyncio.Lock()

    async def ask(self, question: Question) -> Verdict:
        """What the person says; see `sensorium.graph.Approver`."""
        async with self._one_at_a_time:
            with self._watcher.standing_still():
                return await self._asked(question)

    async def _asked(self, question: Question) -> Verdict:
        termios.tcflush(sys.stdin, termios.TCIFLUSH)  # what was typed before a question does not answer it
        _say(f"? {question.node} {_wants(question)}")
        for name, value in question.inputs.items():
            if value is not None:
                _say(_given(name, value))
        return await self._verdict(question, {})

    async def _verdict(self, question: Question, changed: dict[str, Value]) -> Verdict:
        while True:
            line = await self._line(f"{_asks(question)} [y/n/NAME=VALUE/?] ", question)
            match line.lower():
                case "y" | "yes":
                    return Verdict(True, inputs=dict(changed))
                case "n" | "no":
                    return Verdict(False, await self._line("why? (Enter for no reason) ", question))
                case _ if "=" in line:
                    self._change(line, question, changed)
                case _:
                    _say(_HELP)

    def _change(self, line: str, question: Question, changed: dict[str, Value]) -> None:
        try:
            given = read_inputs(question.types, [line], self._store)
        except CallerError as error:
            _say(f"sensorium: {error}")
            return
        for name, value in given.items():
            changed[name] = value
            _say(_given(name, value))

    async def _line(self, prompt: str, question: Question) -> str:
        """A line of text that the person types, waited for while the event loop goes on.

        Raises:
            PausedError: The person ended the input.
        """
        while True:
            with self._watcher.asking(prompt):
                typed = await _typed()
            if not typed:
                _say("")
                raise PausedError(
                    f"{question.node} waits for an approval of {question.callee}; "
                    f"`sensorium runs resume {question.run}` asks again"
                )
            try:
                return plain.decode_text(typed).strip()
            except CallerError as error:
                _say(f"sensorium: the line {error}")


def _wants(question: Question) -> str:
    return "has made a plan" if question.callee == "plan" else f"wants to call {question.callee} with"


def _asks(question: Question) -> str:
    return "carry it out?" if question.callee == "plan" else f"call {question.callee}?"


async def _typed() -> bytes:
    """A line with its end, without one where the person pressed Ctrl-D; nothing where that was all."""
    typed = b""
    while not typed.endswith(b"\n") and (more := await _piece()):
        typed += more
    return typed


async def _piece() -> bytes:
    """What the terminal hands over next, without blocking, which a reader of whole lines would.

    A line; the beginning of one where the person pressed Ctrl-D within it; nothing where that was before it.
    """
    loop, terminal = asyncio.get_running_loop(), sys.stdin.fileno()
    there = asyncio.Event()
    loop.add_reader(terminal, there.set)
    try:
        await there.wait()
    finally:
        loop.remove_reader(terminal)
    return os.read(terminal, _MOST_BYTES)


def _given(name: str, value: Value) -> str:
    """An input, whole, as a person may rely on it.

    What a model wrote can neither look like a line of its own nor move on the screen.
    """
    lines = all_words_of(value).split("\n")
    return f"    {name}: " + "\n      | ".join("".join(_seen(sign) for sign in line) for line in lines)


def _seen(sign: str) -> str:
    return sign if sign.isprintable() else sign.encode("unicode_escape", "surrogatepass").decode()


def _say(line: str) -> None:
    typer.echo(line, err=True)
