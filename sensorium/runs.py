"""The book of runs: what each was asked, how it ended, and what people were asked meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NewType, TypeAlias, cast, get_args

import msgspec

from sensorium.database import Database, Row
from sensorium.errors import CallerError
from sensorium.events import RunId, RunStatus

__all__ = ["AskedQuestion", "Beginning", "End", "QuestionId", "RunRecord", "Runs"]

QuestionId = NewType("QuestionId", str)
Standing: TypeAlias = RunStatus | Literal["running"]

_MOST_ROWS = 2**63 - 1
"""What databases count."""

_TABLES = """
CREATE TABLE IF NOT EXISTS sensorium_runs (
    number  {serial},
    run     TEXT NOT NULL UNIQUE,
    graph   TEXT NOT NULL,
    status  TEXT NOT NULL,
    began   {real} NOT NULL,
    ended   {real},
    start   {bytes} NOT NULL,
    inputs  {bytes} NOT NULL,
    outputs {bytes},
    report  {bytes}
);
CREATE TABLE IF NOT EXISTS sensorium_questions (
    number   {serial},
    run      TEXT NOT NULL,
    question TEXT NOT NULL,
    node     TEXT NOT NULL,
    callee   TEXT NOT NULL,
    inputs   {bytes} NOT NULL,
    asked    {real} NOT NULL,
    verdict  TEXT,
    why      TEXT,
    changed  {bytes},
    answered {real},
    UNIQUE (run, question)
)
"""
_BEGIN = """
INSERT INTO sensorium_runs (run, graph, status, began, start, inputs) VALUES (?, ?, 'running', ?, ?, ?)
ON CONFLICT (run) DO UPDATE SET graph = excluded.graph, status = excluded.status, ended = NULL,
start = excluded.start, inputs = excluded.inputs, outputs = NULL, report = NULL
"""
_END = "UPDATE sensorium_runs SET status = ?, ended = ?, outputs = ?, report = ? WHERE run = ?"
_COLUMNS = "run, graph, status, began, ended, start, inputs, outputs, report"
_FIND = f"SELECT {_COLUMNS} FROM sensorium_runs WHERE run = ?"
_BEGINS = "SELECT run FROM sensorium_runs WHERE substr(run, 1, ?) = ? ORDER BY run LIMIT 3"
_NEWEST = f"SELECT {_COLUMNS} FROM sensorium_runs ORDER BY number DESC LIMIT ?"
_PAGE = f"SELECT number, {_COLUMNS} FROM sensorium_runs WHERE number > ? ORDER BY number LIMIT 500"
_ASK = """
INSERT INTO sensorium_questions (run, question, node, callee, inputs, asked) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (run, question) DO NOTHING
"""
_QUESTIONS = """
SELECT run, question, node, callee, inputs, asked, verdict, why, changed FROM sensorium_questions WHERE run = ?
ORDER BY number
"""
_ONE_QUESTION = _QUESTIONS.replace("ORDER BY number", "AND question = ?")
_ALL_QUESTIONS = "SELECT run, inputs, changed FROM sensorium_questions"
_ANSWER = """
UPDATE sensorium_questions SET verdict = ?, why = ?, changed = ?, answered = ?
WHERE run = ? AND question = ? AND verdict IS NULL RETURNING number
"""
_FORGET_OPEN = "DELETE FROM sensorium_questions WHERE run = ? AND verdict IS NULL"
_DROP = ("DELETE FROM sensorium_questions WHERE run = ?", "DELETE FROM sensorium_runs WHERE run = ?")


class Beginning(msgspec.Struct, frozen=True, kw_only=True):
    """How a run was begun, or last gone on with."""

    text: str
    """The graph, as the text of a graph file."""
    path: str = ""
    """The graph's file; empty where it had none."""
    project: str | None = None
    """The project's folder; None for the box alone."""
    profile: str
    seed: int | None = None
    fresh: bool = False
    shows_plans: bool = False
    """Whether a person approves plans before they are carried out."""
    version: str
    """Of Sensorium."""
    identities: dict[str, str]
    """Of everything that the run may call, and of its checkpoints, by a name for people."""
    parent: RunId | None = None
    """The run that this one was forked from."""
    forked: tuple[str, ...] = ()
    """Nodes of the graph that are not the parent's."""


@dataclass(frozen=True, slots=True)
class End:
    """How a run ended."""

    status: RunStatus
    outputs: bytes
    """As `sensorium.parts.encode_values` writes them."""
    report: bytes
    """As `sensorium.graph.record` writes it."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What the book says of a run."""

    run: RunId
    graph: str
    """Name of the graph."""
    status: Standing
    """`running` also where the run's process died."""
    began_s: float
    """Seconds since 1970."""
    ended_s: float | None
    """None while it is running, or where its process died."""
    start: bytes
    """How it was begun; `beginning` reads it."""
    inputs: bytes
    """As `sensorium.parts.encode_values` writes them."""
    end: End | None
    """None while it is running, or where its process died."""

    def beginning(self) -> Beginning:
        """How it was begun.

        Raises:
            CallerError: Another version of Sensorium wrote it, in another form.
        """
        try:
            return msgspec.json.decode(self.start, type=Beginning)
        except ValueError as error:
            raise CallerError(
                f"what is kept of run {self.run} is damaged, or of another version of Sensorium: {error}; start a new "
                "run: calls that were completed are not made again"
            ) from error


@dataclass(frozen=True, slots=True)
class AskedQuestion:
    """What a person was asked in a run, and what the person said."""

    run: RunId
    question: QuestionId
    node: str
    """Path of the node."""
    callee: str
    """`tool send`, `agent assistant` or `graph publish`."""
    inputs: bytes
    """What it would be called with, as `sensorium.parts.encode_values` writes it."""
    asked_s: float
    """Seconds since 1970."""
    verdict: Literal["approved", "refused"] | None = None
    """None while nobody has answered."""
    why: str = ""
    changed: bytes | None = None
    """Inputs that the person gave instead, as `sensorium.parts.encode_values` writes them."""


class Runs:
    """The book of runs. What is written is on the disk when a call returns.

    Safe to use from many threads and processes at once.

    Args:
        database: Where it lies.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        database.define(_TABLES)

    async def begin(self, run: RunId, graph: str, beginning: Beginning, inputs: bytes) -> None:
        """Writes that a run goes on: a new one, or one that was known. Questions that nobody answered are forgotten.

        Raises:
            OperatorError: The database cannot be written.
        """
        start = msgspec.json.encode(beginning)
        await self._database.aexecute(_FORGET_OPEN, (run,))
        await self._database.aexecute(_BEGIN, (run, graph, time.time(), start, inputs))

    def end(self, run: RunId, end: End) -> None:
        """Writes how a run ended.

        Raises:
            OperatorError: The database cannot be written.
        """
        self._database.execute(_END, (end.status, time.time(), end.outputs, end.report, run))

    def find(self, run: str) -> RunRecord | None:
        """What the book says of a run; None where it does not know it.

        Raises:
            OperatorError: The database cannot be read.
        """
        rows = self._database.execute(_FIND, (run,))
        return _record(rows[0]) if rows else None

    def require(self, name: str) -> RunRecord:
        """What the book says of a run that is named whole, by the beginning of its id, or as `last`.

        Raises:
            CallerError: There is no such run, or several begin so.
            OperatorError: The database cannot be read.
        """
        found = [record.run for record in self.newest(1)] if name == "last" else self._beginning_with(name)
        if len(found) > 1 and name not in found:
            raise CallerError(f"several runs begin with {name}: {', '.join(found[:2])} …; write more of the id")
        known = self.find(found[0]) if found else None
        if known is None:
            raise CallerError(f"there is no run {name!r}; `sensorium runs list` shows those that are kept")
        return known

    def _beginning_with(self, name: str) -> list[RunId]:
        """Ids that begin so, three at most, in order; none where a name cannot be the beginning of one."""
        if not isinstance(cast("object", name), str) or not name or not name.isascii() or not name.isprintable():
            return []
        return [RunId(run) for (run,) in self._database.execute(_BEGINS, (len(name), name))]

    def newest(self, most: int) -> list[RunRecord]:
        """The runs that began last, the last one first.

        Raises:
            OperatorError: The database cannot be read.
        """
        return [_record(row) for row in self._database.execute(_NEWEST, (min(most, _MOST_ROWS),))]

    def read(self) -> Iterator[RunRecord]:
        """Every run, the one that began first first.

        Raises:
            OperatorError: The database cannot be read.
        """
        last = -1
        while rows := self._database.execute(_PAGE, (last,)):
            yield from (_record(row[1:]) for row in rows)
            last = rows[-1][0]

    def asked_values(self) -> Iterator[tuple[RunId, bytes]]:
        """All that people were asked about or gave, as `sensorium.parts.encode_values` writes it, with the run.

        Raises:
            OperatorError: The database cannot be read.
        """
        for run, inputs, changed in self._database.execute(_ALL_QUESTIONS):
            yield RunId(run), _bytes(inputs)
            if changed is not None:
                yield RunId(run), _bytes(changed)

    def drop(self, run: str) -> None:
        """Forgets a run and what was asked in it.

        Raises:
            OperatorError: The database cannot be written.
        """
        for statement in _DROP:
            self._database.execute(statement, (run,))

    async def ask(self, question: AskedQuestion) -> None:
        """Writes what a person is to be asked; asked before, it stays as it is.

        Raises:
            OperatorError: The database cannot be written.
        """
        row = (question.run, question.question, question.node, question.callee, question.inputs, question.asked_s)
        await self._database.aexecute(_ASK, row)

    async def asked(self, runs: Sequence[RunId], question: QuestionId) -> AskedQuestion | None:
        """What was asked in the first of `runs` where it was; None where it was in none.

        Raises:
            OperatorError: The database cannot be read.
        """
        for run in runs:
            for row in await self._database.aexecute(_ONE_QUESTION, (run, question)):
                return _question(row)
        return None

    def questions(self, run: str) -> list[AskedQuestion]:
        """Everything that was asked in a run, in order.

        Raises:
            OperatorError: The database cannot be read.
        """
        return [_question(row) for row in self._database.execute(_QUESTIONS, (run,))]

    async def answer(
        self, run: RunId, question: QuestionId, *, is_approved: bool, why: str = "", changed: bytes | None = None
    ) -> None:
        """Writes what a person said; nobody can say otherwise afterwards.

        Args:
            run: Where it was asked.
            question: What was asked.
            is_approved: Whether the call may be made.
            why: Why not, in the person's words.
            changed: Inputs that the call is to have instead, as `sensorium.parts.encode_values` writes them.

        Raises:
            CallerError: It was answered already, or never asked.
            OperatorError: The database cannot be written.
        """
        verdict = "approved" if is_approved else "refused"
        answered = await self._database.aexecute(_ANSWER, (verdict, why, changed, time.time(), run, question))
        if not answered:
            raise CallerError(f"what run {run} asked was answered already, or is asked no more; look at the run again")


def _record(row: Row) -> RunRecord:
    """What a row says.

    What no version writes there is read as damage that is told where it matters, or as a run that stopped: one such row
    must not keep the others from being read.
    """
    run, graph, status, began_s, ended_s, start, inputs, outputs, report = row
    is_known = status in get_args(RunStatus)
    end = End(status, _bytes(outputs), _bytes(report)) if is_known and report is not None else None
    standing: Standing = status if is_known else "running"
    ended = None if ended_s is None else _seconds(ended_s)
    return RunRecord(RunId(run), str(graph), standing, _seconds(began_s), ended, _bytes(start), _bytes(inputs), end)


def _question(row: Row) -> AskedQuestion:
    run, question, node, callee, inputs, asked_s, verdict, why, changed = row
    given = None if changed is None else _bytes(changed)
    return AskedQuestion(
        RunId(run), QuestionId(question), node, callee, _bytes(inputs), _seconds(asked_s), verdict, why or "", given
    )


def _bytes(value: object) -> bytes:
    return bytes(value) if isinstance(value, bytes) else b""


def _seconds(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
