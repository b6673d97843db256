"""What a run needs from outside the graph. The project fills it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sensorium.agent.planning import Way
from sensorium.database import Database
from sensorium.host.contract import Binding, Host
from sensorium.latent.bridge import Bridge
from sensorium.latent.cards import CardShelf
from sensorium.latent.kv import KvTables
from sensorium.model.contract import Model
from sensorium.results import Results
from sensorium.runs import Runs
from sensorium.spec.catalogue import Catalogue, ToolEntry
from sensorium.store import Store

__all__ = ["Placed", "Services"]


@dataclass(frozen=True, slots=True)
class Placed:
    """A tool, and the host that it lives on."""

    host: Host
    binding: Binding


class Services(Protocol):
    """Everything that a run asks for."""

    @property
    def catalogue(self) -> Catalogue:
        """What can be called."""
        ...

    @property
    def home(self) -> Path:
        """The directory that holds checkpoints, store, runs."""
        ...

    @property
    def store(self) -> Store:
        """Where bytes lie."""
        ...

    @property
    def database(self) -> Database:
        """Where results and runs are kept."""
        ...

    @property
    def results(self) -> Results:
        """Where results of completed calls lie."""
        ...

    @property
    def runs(self) -> Runs:
        """The book of runs."""
        ...

    @property
    def folder(self) -> Path | None:
        """The project's folder; None for the box alone."""
        ...

    @property
    def profile_name(self) -> str:
        """Name of the profile; empty where there is none."""
        ...

    @property
    def parallel(self) -> int:
        """Most calls at once in one run."""
        ...

    @property
    def allowed(self) -> frozenset[str]:
        """Tools with effects that a language model may call without asking a person."""
        ...

    @property
    def bridges(self) -> tuple[Bridge, ...]:
        """Maps from what one model computes to what another reads.

        Raises:
            AuthorError: One of them has faults.
        """
        ...

    def kv_tables(self, weights: str) -> KvTables | None:
        """What the learned codecs know of the keys and values of these weights; None where nobody made tables.

        Raises:
            AuthorError: The tables are damaged.
        """
        ...

    @property
    def cards(self) -> CardShelf:
        """What was measured about ways that lose something."""
        ...

    def way(self, role: str) -> Way:
        """How agents plan whose language model serves a role."""
        ...

    async def place(self, tool: ToolEntry) -> Placed:
        """The tool with its checkpoints, device and host, as the profile says.

        Raises:
            OperatorError: A checkpoint or environment is missing.
        """
        ...

    async def model(self, role: str) -> Model:
        """The language model that serves a role.

        Raises:
            OperatorError: Its checkpoint or service is missing, or the profile names none.
        """
        ...
