"""`sensorium measure`."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sensorium.cli.options import Json, Offline, ProfileName, ProjectFolder
from sensorium.cli.streams import say
from sensorium.errors import CallerError

if TYPE_CHECKING:
    from sensorium.evaluation.wires import Measured

__all__ = ["measure"]


class Dtype(StrEnum):
    """Element types that weights are loaded in."""

    auto = "auto"
    bfloat16 = "bfloat16"
    float32 = "float32"


def measure(
    graph: Annotated[
        str | None, typer.Argument(metavar="[GRAPH]", help="Whose latent wires between agents are measured.")
    ] = None,
    models: Annotated[
        tuple[str, str] | None,
        typer.Option("--models", metavar="SENDER RECEIVER", help="Two checkpoints instead; one may be both."),
    ] = None,
    dtype: Annotated[Dtype, typer.Option("--dtype", help="Element type that --models are loaded in.")] = Dtype.auto,
    rungs: Annotated[
        str, typer.Option("--rungs", metavar="RUNG,…", help="Measure these alone, such as kv,recipe,kv/int8.")
    ] = "",
    samples: Annotated[int, typer.Option("--samples", metavar="N", help="How many passages are sent.")] = 12,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="DIR", help="Where figures and lines go; lines that lie there are not measured again."
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="FILE", help="A picture of recovered against bytes per token: .png or .svg."),
    ] = None,
    json: Json = False,
    profile: ProfileName = None,
    offline: Offline = False,
    project: ProjectFolder = None,
) -> None:
    """Measure what comes across between two language models by each rung, with controls, and keep the cards."""
    import asyncio

    from sensorium.cli.counting import counting
    from sensorium.cli.print_json import print_json
    from sensorium.evaluation.wire_plot import draw, require_drawable
    from sensorium.evaluation.wire_report import cards_json
    from sensorium.evaluation.wires import Measuring
    from sensorium.evaluation.wires import measure as measured_by
    from sensorium.project import Project

    if plot is not None:
        require_drawable(plot)
    named = tuple(filter(None, (rung.strip() for rung in rungs.split(","))))
    if rungs and not named:
        raise CallerError(f"--rungs {rungs!r} names none; name some, such as kv,recipe, or leave it out for all")
    wanted = Measuring(graph or "", models, dtype.value, named, samples, out)
    door = Project.find(project, profile=profile, offline=offline)

    async def measure_all() -> list[Measured]:
        try:
            with counting() as see:
                return await measured_by(door, wanted, see)
        finally:
            await door.close()

    measured = asyncio.run(measure_all())
    cards = [card for one in measured for card in one.cards]
    if plot is not None:
        draw(cards, plot)
    if json:
        print_json(cards_json(cards))
    else:
        _print(measured)


def _print(measured: Sequence[Measured]) -> None:
    from sensorium.cli.card_table import print_cards
    from sensorium.evaluation.wire_figures import LEAST_SAMPLES

    for one in measured:
        print_cards(one.cards, one.wires)
        if one.paths:
            say(f"{len(one.paths)} cards are kept in {one.paths[0].parent}")
        else:
            say(f"no card is kept: it takes at least {LEAST_SAMPLES} samples")
