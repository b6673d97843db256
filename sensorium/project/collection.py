"""The store's hygiene: who holds what in it, and what goes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from sensorium.database import Database
from sensorium.errors import CallerError, OperatorError
from sensorium.events import RunId
from sensorium.project.choice import choose
from sensorium.project.dropping import drop_runs
from sensorium.project.holdings import read_holdings
from sensorium.project.sessions import session_blobs
from sensorium.results import Results
from sensorium.runs import Runs
from sensorium.store import Store
from sensorium.store.shelves import Shelves, look_through
from sensorium.store.uses import Busy, Sweep

__all__ = ["Collected", "Limit", "Place", "See", "StoreStatus", "Weight", "collect", "store_status"]

See = Callable[[str, int, "int | None"], None]
"""Is told of a step, how much of it is done, and of how much; None where nobody knows."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a collection works on."""

    home: Path
    """With the sessions."""
    store: Store
    database: Database
    results: Results
    runs: Runs


@dataclass(frozen=True, slots=True)
class Limit:
    """How much may stay."""

    older_than_s: float
    """Runs that ended longer ago go."""
    max_bytes: int | None
    """What the store may weigh afterwards; None for any weight."""


@dataclass(frozen=True, slots=True)
class Weight:
    """Of some of the store's blobs."""

    blobs: int
    bytes: int


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """A store as it is shown; the names of the fields are the keys of its JSON."""

    path: str
    blobs: int
    bytes: int
    held_by: dict[str, Weight]
    """By `results`, `sessions`, `at_work` and `nobody`; a blob counts for each who holds it."""
    num_at_work: int
    """Runs and conversations that hold blobs just now."""
    damaged: list[str]
    leftovers: list[str]
    """Files that are being written, or were when their process died."""
    foreign: list[str]
    """What no store has put there, and a collection leaves."""
    max_days: float
    max_gb: float | None
    trouble: str | None
    """Why the store cannot be collected now; what sessions hold is then not known."""


@dataclass(frozen=True, slots=True)
class Collected:
    """What a collection let go, or would; the names of the fields are the keys of its JSON."""

    dry_run: bool
    runs: list[str]
    """Runs of which no results are kept any more, the one that ended first first."""
    results: int | None
    """How many results went; None where that was only asked."""
    blobs: int
    freed_bytes: int
    """Of blobs, damaged blobs and leftovers."""
    damaged: list[str]
    leftovers: list[str]
    foreign: list[str]
    """What no store has put there; it stays."""
    num_at_work: int
    """Runs and conversations that held blobs when the collection began; what they held stays."""
    left_blobs: int
    left_bytes: int
    trouble: str | None
    """Why the database keeps the room of what went; None where it gave it back, or nothing went."""


def store_status(place: Place, *, max_days: float, max_gb: float | None, see: See) -> StoreStatus:
    """Who holds what in a store.

    Raises:
        OperatorError: The store or the database cannot be read.
    """
    with _telling(place.store):
        num_at_work, at_work = place.store.uses.look()
        shelves = look_through(place.store.root, lambda done: see("blobs", done, None))
    holdings = read_holdings(place.results, place.runs, lambda done, total: see("results", done, total))
    sessions, trouble = _sessions(place.home)
    by = {
        "results": frozenset[str]().union(*(holding.blobs for holding in holdings)),
        "sessions": sessions,
        "at_work": at_work,
    }
    by["nobody"] = frozenset(shelves.blobs).difference(*by.values())
    return StoreStatus(
        path=str(place.store.root),
        blobs=len(shelves.blobs),
        bytes=sum(shelves.blobs.values()),
        held_by={name: _weighed(shelves.blobs, digests) for name, digests in by.items()},
        num_at_work=num_at_work,
        damaged=list(shelves.damaged),
        leftovers=list(shelves.leftovers),
        foreign=shelves.foreign,
        max_days=max_days,
        max_gb=max_gb,
        trouble=trouble,
    )


def collect(place: Place, limit: Limit, *, now_s: float, dry_run: bool, see: See) -> Collected:
    """Lets go of old runs and of every blob that nothing kept refers to and nobody holds.

    What nothing refers to goes first, since a full disk takes no change of the database. Rows go before the blobs that
    they refer to, so that a collection that is killed leaves nothing but more to collect.
    What processes at work hold is safe for the reasons that `sensorium.store.uses` gives; the clock decides of the age
    of ended runs alone, whose results can be made again.

    Args:
        place: What is collected.
        limit: How much may stay.
        now_s: Seconds since 1970.
        dry_run: Whether everything stays as it is.
        see: Is told how far it is.

    Raises:
        CallerError: A session is damaged, so that nobody knows what it refers to. Nothing was removed.
        OperatorError: The store or the database cannot be read or written, or somebody else collects already.
    """
    with _telling(place.store), place.store.uses.sweep() as sweep:
        shelves = look_through(place.store.root, lambda done: see("blobs", done, None))
        holdings = read_holdings(place.results, place.runs, lambda done, total: see("results", done, total))
        roots = sweep.held() | _roots(place.home)
        chosen = choose(shelves.blobs, holdings, roots, before_s=now_s - limit.older_than_s, max_bytes=limit.max_bytes)
        going = {digest: shelves.blobs[digest] for digest in chosen.blobs}
        if dry_run:
            free = sweep.free_leftovers([place.store.root / name for name in shelves.leftovers])
            shelves.leftovers = {path.name: shelves.leftovers[path.name] for path in free}
            gone = _Gone(going, {RunId(run): 0 for run in chosen.runs})
        else:
            shelves.leftovers = _remove_rest(place.store.root, sweep, shelves)
            referred = frozenset[str]().union(*(holding.blobs for holding in holdings))
            gone = _let_go(place, sweep, going, referred, chosen.runs, see)
    going = gone.blobs
    freed = (*going.values(), *shelves.damaged.values(), *shelves.leftovers.values())
    return Collected(
        dry_run=dry_run,
        runs=list(gone.runs),
        results=None if dry_run else sum(gone.runs.values()),
        blobs=len(going),
        freed_bytes=sum(freed),
        damaged=list(shelves.damaged),
        leftovers=list(shelves.leftovers),
        foreign=shelves.foreign,
        num_at_work=sweep.num_at_work,
        left_blobs=len(shelves.blobs) - len(going),
        left_bytes=sum(shelves.blobs.values()) - sum(going.values()),
        trouble=gone.trouble,
    )


class _Gone(NamedTuple):
    """What a collection let go."""

    blobs: dict[str, int]
    """Bytes of each."""
    runs: dict[RunId, int]
    """How many results of each."""
    trouble: str | None = None
    """Why the database keeps the room of what went."""


def _let_go(
    place: Place, sweep: Sweep, going: Mapping[str, int], referred: Collection[str], runs: Sequence[str], see: See
) -> _Gone:
    """Removes blobs that nothing refers to, then runs, then the blobs that only they referred to."""
    gone = _remove(place.store, sweep, {name: going[name] for name in going if name not in referred}, see)
    dropped = drop_runs(place.database, place.results, place.runs, runs)
    gone |= _remove(place.store, sweep, {name: going[name] for name in going if name not in gone}, see)
    return _Gone(gone, dropped, _compacted(place.results) if any(dropped.values()) and not sweep.num_at_work else None)


def _compacted(results: Results) -> str | None:
    """Why the database could not give back the room of what went, which needs some room itself."""
    try:
        results.compact()
    except OperatorError as error:
        return str(error)
    return None


def _remove(store: Store, sweep: Sweep, going: Mapping[str, int], see: See) -> dict[str, int]:
    """Removes blobs; those that are gone."""
    gone: dict[str, int] = {}
    for digest in sweep.remove({digest: store.root / digest[:2] / digest for digest in going}):
        gone[digest] = going[digest]
        see("removed", len(gone), len(going))
    return gone


def _remove_rest(root: Path, sweep: Sweep, shelves: Shelves) -> dict[str, int]:
    """Removes damaged blobs, and leftovers that nobody writes; the leftovers that are gone."""
    for name in shelves.damaged:
        (root / name).unlink(missing_ok=True)
    gone = sweep.remove_leftovers([root / name for name in shelves.leftovers])
    return {path.name: shelves.leftovers[path.name] for path in gone}


def _weighed(sizes: Mapping[str, int], digests: Collection[str]) -> Weight:
    there = [sizes[digest] for digest in digests if digest in sizes]
    return Weight(len(there), sum(there))


def _sessions(home: Path) -> tuple[frozenset[str], str | None]:
    try:
        return session_blobs(home), None
    except (CallerError, OperatorError) as error:
        return frozenset(), str(error)


def _roots(home: Path) -> frozenset[str]:
    try:
        return session_blobs(home)
    except (CallerError, OperatorError) as error:
        raise type(error)(
            f"the store is not collected, since nobody knows what a session refers to: {error}; `sensorium sessions "
            "rm` removes a session"
        ) from error


@contextmanager
def _telling(store: Store) -> Generator[None]:
    try:
        yield
    except Busy as error:
        raise OperatorError(f"somebody else collects {store.root} just now; wait until that has ended") from error
    except OSError as error:
        raise OperatorError(
            f"{store.root} cannot be collected: {error.strerror or error} ({error.filename}); give the right to read "
            "and write it"
        ) from error
