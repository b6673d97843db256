"""What a run gave."""

from __future__ import annotations

from collections.abc import Iterator, KeysView, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sensorium.events import Figures, RunId, RunStatus
from sensorium.graph.outcome import NodeStatus
from sensorium.graph.save import Saved, describe, save_outputs
from sensorium.parts import Value
from sensorium.spec.nearest import meant
from sensorium.spec.ports import PortType

__all__ = ["Crossed", "ErrorReport", "NodeReport", "Result"]


@dataclass(frozen=True, slots=True)
class ErrorReport:
    """Why a run or a node is not done."""

    kind: str
    """As `sensorium.errors` names it: `caller`, `tool`, `operator` and so on."""
    message: str
    node: str
    """Path of the node where it came up; empty where it was none."""


@dataclass(frozen=True, slots=True)
class Crossed:
    """How latents came into a node by a port; the last, where several did."""

    rung: str
    why: str = ""
    """Why it was no better one; empty where none is."""
    num_bytes: int = 0
    """What crossed, of all of them."""


@dataclass(frozen=True, slots=True)
class NodeReport:
    """How a node ended."""

    node: str
    """Path in the run: `cut`, or `album/caption` within a graph that a node calls."""
    kind: str
    """`tool`, `agent` or `graph`; empty for a node of a called graph that was skipped."""
    callee: str
    status: NodeStatus
    """`cancelled` where something that it depends on gave nothing."""
    seconds: float
    cached: bool
    """Whether every call was answered by a kept result."""
    why: str = ""
    """Why it was skipped, or why its stand-in answered."""
    error: ErrorReport | None = None
    figures: Figures = field(default_factory=Figures)
    crossed: Mapping[str, Crossed] = field(default_factory=dict[str, Crossed])
    """How latents came in, by port."""

    def to_json(self) -> dict[str, Any]:
        """One entry of `nodes` in JSON output."""
        callee = {self.kind: self.callee} if self.kind else {}
        told: dict[str, Any] = {
            "node": self.node,
            **callee,
            "status": self.status,
            "seconds": round(self.seconds, 4),
            "cached": self.cached,
            "bytes_in": self.figures.bytes_in,
            "bytes_out": self.figures.bytes_out,
            "calls": self.figures.calls,
            "kept": self.figures.kept,
        }
        if self.crossed:
            told["crossed"] = {
                port: {"rung": wire.rung, "bytes": wire.num_bytes} | ({"why": wire.why} if wire.why else {})
                for port, wire in self.crossed.items()
            }
        if self.why:
            told["why"] = self.why
        if self.error is not None:
            told["error"] = {"kind": self.error.kind, "message": self.error.message}
        return told


@dataclass(frozen=True)
class Result:
    """What a run gave. Outputs are attributes (`result.answer`), or items where a name is taken (`result["run"]`)."""

    run: RunId
    graph: str
    """Name of the graph."""
    status: RunStatus
    outputs: Mapping[str, Value]
    """A value for each output of the graph; None where there is none."""
    types: Mapping[str, PortType]
    """The type of each output."""
    nodes: tuple[NodeReport, ...]
    """In the order in which the graph has them, nodes of a called graph after their node."""
    seconds: float
    error: ErrorReport | None = None
    plans: Mapping[str, str] = field(default_factory=dict[str, str])
    """What agents called, by path of their node: the text of a graph file, which runs without a language model."""
    _saved: dict[Path, dict[str, Saved]] = field(
        default_factory=dict[Path, dict[str, Saved]], repr=False, compare=False
    )

    def __getitem__(self, port: str) -> Any:
        if port not in self.outputs:
            raise KeyError(f"no output {port!r}; {meant(port, self.outputs, 'the outputs are')}")
        return self.outputs[port]

    def __iter__(self) -> Iterator[str]:
        return iter(self.outputs)

    def keys(self) -> KeysView[str]:
        """Names of the outputs, so that `dict(result)` holds them."""
        return self.outputs.keys()

    def __getattr__(self, port: str) -> Any:
        outputs: Mapping[str, Value] = self.__dict__.get("outputs", {})
        if port.startswith("_") or port not in outputs:
            raise AttributeError(f"no output {port!r}; {meant(port, outputs, 'the outputs are')}")
        return outputs[port]

    def save(self, folder: str | Path) -> dict[str, list[Path]]:
        """Writes the media among the outputs into a folder, each file at once or not at all.

        Pictures become `PORT.png` (`.jpg`, `.webp` where that is what they are), sound `PORT.wav`, masks `PORT.npy`
        with `PORT-000.png` and so on to look at, latents `PORT.safetensors`; a list's elements are numbered likewise.
        Numbered files of these names from before are removed.

        Returns:
            The files of each output that has any, in order.

        Raises:
            OperatorError: The folder cannot be written, or media are missing from the store.
        """
        saved = self._save(Path(folder))
        return {port: one.paths for port, one in saved.items() if one.paths}

    def to_json(self, folder: str | Path | None = None) -> dict[str, Any]:
        """The run as the JSON object that `sensorium run --json` prints.

        Args:
            folder: Where media are written first; None leaves them in the store and names them there.

        Raises:
            OperatorError: As `save`.
        """
        saved = self._save(Path(folder)) if folder is not None else {}
        told: dict[str, Any] = {
            "run": self.run,
            "graph": self.graph,
            "status": self.status,
            "seconds": round(self.seconds, 4),
            "outputs": {
                port: describe(value, self.types[port], saved.get(port)) for port, value in self.outputs.items()
            },
            "nodes": [node.to_json() for node in self.nodes],
        }
        if self.plans:
            told["plans"] = dict(self.plans)
        if self.error is not None:
            told["error"] = {"kind": self.error.kind, "message": self.error.message, "node": self.error.node or None}
        return told

    def _save(self, folder: Path) -> dict[str, Saved]:
        if folder not in self._saved:
            self._saved[folder] = save_outputs(self.outputs, folder)
        return self._saved[folder]
