"""One run that is killed one or several times and goes on until it is done, watched from outside."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import signal
from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Literal

import psutil
from killing.attempt import attempt
from killing.outside import Outside, Seen, repeated

from sensorium.database import SqliteDatabase
from sensorium.graph.record import result_of
from sensorium.graph.result import Result
from sensorium.parts import blobs_of, encode_values
from sensorium.runs import RunRecord, Runs
from sensorium.store import Store

__all__ = ["KINDS", "Case", "Kind", "Reference", "Verdict", "attempts", "reference_of"]

Kind = Literal["orchestrator", "worker", "both"]
KINDS: tuple[Kind, ...] = ("orchestrator", "worker", "both")
RUN = "the-run"
PATIENCE_S = 60.0
LONGEST_PAUSE_S = 0.02
MOST_ATTEMPTS = 6
"""Attempts that nobody kills, until a run counts as lost."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A run that nobody killed."""

    outputs: bytes
    marks: frozenset[str]
    """Of the calls that it took."""
    rings: int
    """How often it rang."""


@dataclass(slots=True)
class Verdict:
    """What came of one case."""

    shape: str
    kills: Counter[Kind] = field(default_factory=Counter[Kind])
    attempts: int = 0
    repeated: list[str] = field(default_factory=list[str])
    """Marks of calls that began again although they were completed."""
    recurred: int = 0
    """Calls that were in flight when something was killed, and began again."""
    lost: str = ""
    """Why the run counts as lost; empty where it was done."""
    differs: bool = False
    """Whether what it gave is not what the reference gave."""

    @property
    def figures(self) -> Counter[str]:
        """What is counted, by name."""
        counted = {"repeated": len(self.repeated), "lost": bool(self.lost), "differing": self.differs}
        return Counter({**counted, "in flight again": self.recurred})

    @property
    def is_wrong(self) -> bool:
        """Whether anything happened that must not."""
        return bool(self.repeated or self.lost or self.differs)


def attempts() -> ForkServerContext:
    """Starts attempts: each is a new process, which has loaded the engine and nothing of any run."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["sensorium.testing", "sensorium.graph.compile"])
    return context


def reference_of(context: ForkServerContext, shape: str, folder: Path) -> Reference:
    """The same run without a kill.

    Raises:
        RuntimeError: It is not done.
    """
    with _watched(context, shape, folder) as watched:
        with watched.attempt() as process:
            rings = watched.listen(process, None)
        result = watched.result()
        if result is None or result.status != "done":
            raise RuntimeError(f"the shape {shape} does not run: {result}")
        return Reference(encode_values(dict(result.outputs)), frozenset(watched.outside.marks("end")), rings)


@dataclass(frozen=True, slots=True)
class Case:
    """One run, and what is to befall it.

    Args:
        reference: The same run without a kill.
        lots: Decide how often, when, and what is killed.
    """

    shape: str
    reference: Reference
    lots: random.Random

    def carried_out(self, context: ForkServerContext, folder: Path) -> Verdict:
        """What comes of it, in an empty folder."""
        verdict, seen = Verdict(self.shape), list[Seen]()
        with _watched(context, self.shape, folder) as watched:
            for _ in range(self.lots.choice((1, 1, 2, 3))):
                if not watched.is_done():
                    verdict.attempts += 1
                    self._killed_attempt(watched, verdict.kills, seen)
            for _ in range(MOST_ATTEMPTS):
                if not watched.is_done():
                    verdict.attempts += 1
                    with watched.attempt() as process:
                        watched.listen(process, None)
            self._judge(watched, verdict, seen)
        return verdict

    def _killed_attempt(self, watched: _Watched, kills: Counter[Kind], seen: list[Seen]) -> None:
        kind: Kind = self.lots.choice(KINDS)
        moment = self.lots.randint(1, self.reference.rings)
        pause_s = self.lots.choice((0.0, self.lots.uniform(0.0, LONGEST_PAUSE_S)))
        with watched.attempt() as process:
            watched.listen(process, moment)
            watched.pause(process, pause_s)
            workers = watched.workers() if kind != "orchestrator" else []
            if process.is_alive() and kind != "worker":
                process.kill()
                process.join(PATIENCE_S)
                kills[kind if workers else "orchestrator"] += 1
            if workers and (kind == "worker" or not process.is_alive()):
                os.kill(self.lots.choice(workers), signal.SIGKILL)
                kills["worker"] += kind == "worker"
            seen.append(watched.look())
            watched.listen(process, None)
        seen.append(watched.look())

    def _judge(self, watched: _Watched, verdict: Verdict, seen: list[Seen]) -> None:
        begun = watched.outside.marks("begin")
        verdict.repeated = repeated(watched.outside.lines(), seen)
        failed = len(watched.outside.marks("fail"))
        verdict.recurred = len(begun) - len(set(begun)) - failed - len(verdict.repeated)
        result = watched.result()
        if result is None or result.status != "done":
            verdict.lost = "it never ended" if result is None else f"it {result.status}: {result.error}"
            return
        unlike = [node.node for node in result.nodes if node.status != "done"]
        missing = self.reference.marks.difference(watched.outside.marks("end"))
        verdict.lost = f"nodes {unlike} gave nothing" if unlike else f"no call left {missing}" if missing else ""
        for blob in blobs_of(result.outputs):
            blob.read()  # checks the bytes against their digest
        verdict.differs = encode_values(dict(result.outputs)) != self.reference.outputs


@dataclass(frozen=True, slots=True)
class _Watched:
    """A home of its own for one run, and an ear at its bell."""

    context: ForkServerContext
    shape: str
    home: Path
    outside: Outside
    ear: int

    @contextlib.contextmanager
    def attempt(self) -> Generator[ForkServerProcess]:
        """A process that begins the run or goes on with it; it has ended when the block does."""
        given = (self.home, self.outside.folder, self.shape, RUN)
        process = self.context.Process(target=attempt, args=given, daemon=True)
        process.start()
        try:
            yield process
        finally:
            process.kill()
            process.join(PATIENCE_S)

    def listen(self, process: ForkServerProcess, rings: int | None) -> int:
        """Waits until it rang so often, or else until the process ended; how often it rang.

        Raises:
            TimeoutError: Neither came to be.
        """
        heard = 0
        while rings is None or heard < rings:
            ready = wait([self.ear, process.sentinel], PATIENCE_S)
            if not ready:
                raise TimeoutError(f"{self.shape} in {self.home} neither goes on nor ends")
            if self.ear in ready:
                heard += len(os.read(self.ear, 1 if rings is not None else 1 << 16))
            elif process.sentinel in ready:
                break
        return heard

    def pause(self, process: ForkServerProcess, seconds: float) -> None:
        """Lets time pass, unless the process ends meanwhile."""
        wait([process.sentinel], seconds)

    def look(self) -> Seen:
        """What is completed."""
        return self.outside.look(self.home / "runs.sqlite")

    def workers(self) -> list[int]:
        """Processes of tools that live."""
        place = str(self.home / "workers")
        found = psutil.process_iter(["cmdline"])
        return [one.pid for one in found if any(place in word for word in one.info["cmdline"] or ())]

    def result(self) -> Result | None:
        """What the book says that the run gave; None where it has not ended."""
        record = self._record()
        return None if record is None or record.end is None else result_of(record, Store(self.home / "store"))

    def is_done(self) -> bool:
        """Whether the run needs no further attempt."""
        record = self._record()
        return record is not None and record.status == "done"

    def _record(self) -> RunRecord | None:
        database = SqliteDatabase(self.home / "runs.sqlite")
        try:
            return Runs(database).find(RUN)
        finally:
            database.close()


@contextlib.contextmanager
def _watched(context: ForkServerContext, shape: str, folder: Path) -> Generator[_Watched]:
    outside = Outside(folder / "outside")
    outside.folder.mkdir(parents=True)
    os.mkfifo(outside.bell)
    ear = os.open(outside.bell, os.O_RDWR)  # both ends, so that it is never at an end
    watched = _Watched(context, shape, folder / "home", outside, ear)
    try:
        yield watched
    finally:
        for pid in watched.workers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        os.close(ear)
