"""Whose results a run goes on with."""

from __future__ import annotations

from dataclasses import dataclass

from sensorium.errors import CallerError
from sensorium.events import RunId
from sensorium.runs import Beginning, Runs

__all__ = ["Lineage"]


@dataclass(frozen=True, slots=True)
class Lineage:
    """A run, and the run that it was forked from, whose nodes it keeps but for those that are forked."""

    run: RunId
    seed: int | None = None
    """Named by whoever started the run; part of every key."""
    fresh: bool = False
    """Whether results of other runs are left aside."""
    parent: Lineage | None = None
    forked: frozenset[str] = frozenset()
    """Nodes of the top graph that are not the parent's."""

    @classmethod
    def read(cls, run: RunId, begun: Beginning | None, runs: Runs, *, seed: int | None, fresh: bool) -> Lineage:
        """The lineage of a run, with its ancestors as the book knows them.

        Args:
            run: The run.
            begun: How it was begun; None for a new one.
            runs: The book.
            seed: The run's own.
            fresh: The run's own. What is forked is fresh in any case.

        Raises:
            CallerError: An ancestor is no longer in the book, or the book is damaged.
            OperatorError: The book cannot be read.
        """
        line = [] if begun is None else _line(run, begun, runs)
        lineage: Lineage | None = None
        for above, told in reversed(line[1:]):
            lineage = cls(above, told.seed, told.fresh or lineage is not None, lineage, _forked(told, lineage))
        if begun is None or lineage is None:
            return cls(run, seed, fresh)
        return cls(run, seed, True, lineage, _forked(begun, lineage))

    def owner(self, node: str) -> Lineage:
        """The lineage of the run whose calls those of a node are, at any path below it."""
        return self._down_to_owner(node)[-1]

    def chain(self, node: str) -> tuple[RunId, ...]:
        """The runs that may have made a node's results: this one, and those between it and the owner."""
        return tuple(lineage.run for lineage in self._down_to_owner(node))

    def _down_to_owner(self, node: str) -> list[Lineage]:
        name = node.partition("/")[0].partition("[")[0]
        line: list[Lineage] = [self]
        while line[-1].parent is not None and name not in line[-1].forked:
            line.append(line[-1].parent)
        return line


def _line(run: RunId, begun: Beginning, runs: Runs) -> list[tuple[RunId, Beginning]]:
    """A run, the run that it was forked from, and so on, with how each was begun."""
    line, seen = [(run, begun)], {run}
    while (parent := line[-1][1].parent) is not None:
        below = line[-1][0]
        if parent in seen:
            raise CallerError(f"what is kept of run {below} is damaged: it is a fork of itself; start a new run")
        above = runs.find(parent)
        if above is None:
            raise CallerError(
                f"run {below} is a fork of run {parent}, which was removed with what it gave; start a new run"
            )
        line.append((parent, above.beginning()))
        seen.add(parent)
    return line


def _forked(beginning: Beginning, parent: Lineage | None) -> frozenset[str]:
    return frozenset() if parent is None else frozenset(beginning.forked)
