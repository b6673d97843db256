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
        if begun is None or begun.parent is None:
            return cls(run, seed, fresh)
        record = runs.find(begun.parent)
        if record is None:
            raise CallerError(f"run {run} is a fork of {begun.parent}, which is kept no more; start a new run")
        above = record.beginning()
        parent = cls.read(record.run, above, runs, seed=above.seed, fresh=above.fresh)
        return cls(run, seed, True, parent, frozenset(begun.forked))

    def owner(self, node: str) -> Lineage:
        """The lineage of the run whose calls those of a node are, at any path below it."""
        name = node.partition("/")[0].partition("[")[0]
        return self if self.parent is None or name in self.forked else self.parent.owner(node)

    def chain(self, node: str) -> tuple[RunId, ...]:
        """The runs that may have made a node's results: this one, and those between it and the owner."""
        owner = self.owner(node)
        return (self.run,) if owner is self or self.parent is None else (self.run, *self.parent.chain(node))
