"""What `sensorium measure` does: a graph's latent wires, or two checkpoints, measured by every way between them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sensorium.errors import CallerError, OperatorError
from sensorium.evaluation.wire_ends import opened, setting_of
from sensorium.evaluation.wire_figures import LEAST_SAMPLES, card_of
from sensorium.evaluation.wire_graph import latent_wires, settings_between
from sensorium.evaluation.wire_measure import LINES, measure_ways
from sensorium.evaluation.wire_pair import Pair
from sensorium.evaluation.wire_report import cards_json, cards_markdown
from sensorium.evaluation.wire_tasks import passages
from sensorium.evaluation.wire_ways import chosen, require_rungs
from sensorium.latent.cards import Card
from sensorium.project import Project
from sensorium.spec.projectfile import ModelSetting

__all__ = ["Measured", "Measuring", "measure"]


@dataclass(frozen=True, slots=True)
class Measuring:
    """What is to be measured: the wires of a graph, or two checkpoints."""

    graph: str = ""
    models: tuple[str, str] | None = None
    """Checkpoints of sender and receiver."""
    dtype: str = "auto"
    """Element type of those."""
    rungs: tuple[str, ...] = ()
    """All where none is named."""
    samples: int = 12
    out: Path | None = None
    """Where figures and lines go; lines that lie there are not measured again."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured between two models."""

    wires: tuple[str, ...]
    """Wires of the graph that join these two; empty where checkpoints were named."""
    cards: tuple[Card, ...]
    paths: tuple[Path, ...]
    """Where the cards are kept; empty where there were too few samples."""


@dataclass(frozen=True, slots=True)
class _Ends:
    wires: tuple[str, ...]
    settings: tuple[ModelSetting, ModelSetting]


async def measure(project: Project, wanted: Measuring, see: Callable[[str, int, int], None]) -> list[Measured]:
    """Measures, and keeps what it measured.

    Args:
        project: Whose checkpoints, graphs and profile are meant.
        wanted: What is measured.
        see: Hears of each two models how much is done, and of how much.

    Raises:
        AuthorError: The graph has faults.
        CallerError: A graph, checkpoint or rung is not there, a model gives no latents, or too few or many samples are
            asked for.
        ModelError: A model failed.
        OperatorError: A checkpoint is missing, or the disk does not let something be read or written.
    """
    tasks = passages()
    if not 1 <= wanted.samples <= len(tasks.passages):
        raise CallerError(
            f"{wanted.samples} samples are asked for; there are {len(tasks.passages)}, and 1 is the least"
        )
    require_rungs(wanted.rungs)
    if wanted.dtype != "auto" and wanted.models is None:
        raise CallerError(
            f"--dtype {wanted.dtype} tells of --models alone; a graph's models have the dtype of their profile: write "
            "it there, or leave it out"
        )
    measured: list[Measured] = []
    for ends in await _ends(project, wanted):
        async with opened(project, ends.settings) as pair:
            measured.append(await _between(project, pair, ends.wires, wanted, see))
    if wanted.out is not None:
        _keep(wanted.out, [card for one in measured for card in one.cards], measured)
    return measured


async def _between(
    project: Project, pair: Pair, wires: tuple[str, ...], wanted: Measuring, see: Callable[[str, int, int], None]
) -> Measured:
    tasks, ways = passages(), chosen(pair, wanted.rungs)
    title = f"{pair.sender.name} to {pair.receiver.name}"
    keep = None if wanted.out is None else _made(wanted.out) / LINES
    lines = await measure_ways(
        pair, ways, tasks, num_samples=wanted.samples, keep=keep, see=lambda done, total: see(title, done, total)
    )
    cards = tuple(
        card_of(pair, way, tasks, [one for one in lines if (one.rung, one.by) == (way.rung, way.by)]) for way in ways
    )
    paths = tuple(project.cards.write(card) for card in cards if card.num_samples >= LEAST_SAMPLES)
    return Measured(wires, cards, paths)


async def _ends(project: Project, wanted: Measuring) -> list[_Ends]:
    if (wanted.models is None) == (not wanted.graph):
        raise CallerError("give a graph, or two checkpoints by --models, and not both")
    if wanted.models is not None:
        sender, receiver = (setting_of(project, name, wanted.dtype) for name in wanted.models)
        return [_Ends((), (sender, receiver))]
    wires = latent_wires(project, project.graph(wanted.graph))
    if not wires:
        raise CallerError(
            f"graph {wanted.graph!r} has no latent wire between agents; one goes from an agent's output "
            "latent(lm.context) into another's input latent(lm.context)"
        )
    by_roles: dict[tuple[str, str], _Ends] = {}
    for wire in wires:
        roles = (wire.sender_role, wire.receiver_role)
        settings = await settings_between(project, wire)
        before = by_roles[roles].wires if roles in by_roles else ()
        by_roles[roles] = _Ends((*before, str(wire)), settings)
    return list(by_roles.values())


def _made(out: Path) -> Path:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise CallerError(f"{out} is a file, or lies below one; give a folder") from error
    except OSError as error:
        raise OperatorError(f"{out} cannot be made: {error.strerror}; give another") from error
    return out


def _keep(out: Path, cards: Sequence[Card], measured: Sequence[Measured]) -> None:
    told = json.dumps(cards_json(cards), ensure_ascii=False, indent=2)
    tables = "\n\n".join(cards_markdown(one.cards) for one in measured)
    try:
        (_made(out) / "figures.json").write_text(f"{told}\n", encoding="utf-8")
        (out / "figures.md").write_text(f"{tables}\n", encoding="utf-8")
    except OSError as error:
        raise OperatorError(f"{out} cannot be written: {error.strerror}; free some space, or give another") from error
