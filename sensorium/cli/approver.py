"""Questions to the person at the terminal, before a call that needs an approval."""

from __future__ import annotations

import asyncio
import sys

import typer

from sensorium.cli.inputs import read_inputs
from sensorium.cli.values import words_of
from sensorium.cli.watch import Watcher
from sensorium.errors import CallerError, PausedError
from sensorium.graph import Question, Verdict
from sensorium.parts import Value
from sensorium.store import Store

__all__ = ["TerminalApprover", "can_ask"]

_HELP = "y: call it    n: refuse    NAME=VALUE: change an input first (@FILE reads one)    Ctrl-D: leave it open"


def can_ask() -> bool:
    """Whether a person sits at the terminal."""
    return sys.stdin.isatty() and sys.stderr.isatty()


class TerminalApprover:
    """Asks on standard error and reads lines of standard input, one question at a time.

    Args:
        watcher: Makes way for questions.
        store: Takes the media that the person gives.
    """

    def __init__(self, watcher: Watcher, store: Store) -> None:
        self._watcher = watcher
        self._store = store
        self._one_at_a_time = asyncio.Lock()

    async def ask(self, question: Question) -> Verdict:
        """What the person says; see `sensorium.graph.Approver`."""
        async with self._one_at_a_time:
            self._watcher.make_way()
            _say(f"? {question.node} wants to call {question.callee} with")
            for name, value in question.inputs.items():
                if value is not None:
                    _say(f"    {name}: {words_of(value)}")
            return await self._verdict(question, {})

    async def _verdict(self, question: Question, changed: dict[str, Value]) -> Verdict:
        while True:
            line = await _line(f"call {question.callee}? [y/n/NAME=VALUE/?] ", question)
            match line.lower():
                case "y" | "yes":
                    return Verdict(True, inputs=dict(changed))
                case "n" | "no":
                    return Verdict(False, await _line("why? (Enter for no reason) ", question))
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
            _say(f"    {name}: {words_of(value)}")


async def _line(prompt: str, question: Question) -> str:
    """A line of the terminal, waited for while the event loop goes on: a terminal is readable once a line is whole.

    Raises:
        PausedError: The person ended the input.
    """
    typer.echo(prompt, nl=False, err=True)
    loop = asyncio.get_running_loop()
    there = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), there.set)
    try:
        await there.wait()
    finally:
        loop.remove_reader(sys.stdin.fileno())
    line = sys.stdin.readline()
    if not line:
        _say("")
        raise PausedError(
            f"{question.node} waits for an approval of {question.callee}; `sensorium runs resume {question.run}` asks "
            "again"
        )
    return line.strip()


def _say(line: str) -> None:
    typer.echo(line, err=True)
