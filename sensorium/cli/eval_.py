"""`sensorium eval`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from sensorium.cli.options import Json, Offline, ProfileName, ProjectFolder

__all__ = ["eval_"]


class Way(StrEnum):
    """How plans are made."""

    steps = "steps"
    whole = "whole"
    calls = "calls"
    naive = "naive"


def eval_(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER|FILE.tsv",
            help="Plans: a folder as of TaskBench. First tools: a header, then lines of request, tab, tool.",
        ),
    ],
    way: Annotated[
        Way | None, typer.Option("--way", help="How plans are made, instead of the profile's way; naive: unchecked.")
    ] = None,
    agent: Annotated[
        str, typer.Option("--agent", metavar="NAME", help="Whose first tools are measured.")
    ] = "assistant",
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, metavar="N", help="Only so many samples, drawn from each kind.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Which samples are drawn.")] = 0,
    examples: Annotated[
        int,
        typer.Option("--examples", min=0, max=50, metavar="N", help="Samples that the model is shown, and not asked."),
    ] = 0,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="DIR", help="Where figures and answers go; answers that lie there are not asked for."
        ),
    ] = None,
    json: Json = False,
    profile: ProfileName = None,
    offline: Offline = False,
    project: ProjectFolder = None,
) -> None:
    """Measure plans or first tools against what is right by a file, and print a table."""
    import asyncio

    from sensorium.cli.counting import counting
    from sensorium.cli.print_json import print_json
    from sensorium.evaluation.evaluate import Evaluated, Evaluation, evaluate
    from sensorium.project import Project

    wanted = Evaluation(data, agent, None if way is None else way.value, limit, seed, examples, out)
    door = Project.find(project, profile=profile, offline=offline)

    async def measure() -> Evaluated:
        try:
            with counting() as see:
                return await evaluate(door, wanted, lambda done, total: see("samples", done, total))
        finally:
            await door.close()

    evaluated = asyncio.run(measure())
    if json:
        print_json(evaluated.record)
    else:
        typer.echo(evaluated.markdown)
