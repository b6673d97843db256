"""`sensorium runs`: runs that were kept, and how they go on.

The engine loads when a command runs, so that `--help` stays quick.
"""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from sensorium.cli.options import Json, MediaFolder, Offline, ProfileName, ProjectFolder, Quiet, Trace
from sensorium.cli.print_json import print_json

if TYPE_CHECKING:
    from sensorium.project.answers import Answer
    from sensorium.store import Store

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Runs that were kept: look at them, go on with them, begin anew in them.")

RunName = Annotated[str, typer.Argument(metavar="ID", help="A run's id, the beginning of it, or `last`.")]


@app.command("list")
def list_(
    most: Annotated[int, typer.Option("--last", "-n", min=1, metavar="N", help="How many.")] = 20,
    json: Json = False,
    profile: ProfileName = None,
    project: ProjectFolder = None,
) -> None:
    """List the runs that began last."""
    from sensorium.cli.kept import print_summaries, summary_json
    from sensorium.project import Project
    from sensorium.project.kept import summarise

    door = Project.find(project, profile=profile)
    with closing(door.database):
        found = [summarise(door, record) for record in door.runs.newest(most)]
    if json:
        print_json({"runs": [summary_json(summary) for summary in found]})
    else:
        print_summaries(found)


@app.command("show")
def show(name: RunName, json: Json = False, profile: ProfileName = None, project: ProjectFolder = None) -> None:
    """Show what a run was given and gave, how its nodes ended, what it asks, and what has changed since."""
    from sensorium.cli.kept import details_json, print_details
    from sensorium.project import Project
    from sensorium.project.kept import look_at

    door = Project.find(project, profile=profile)
    with closing(door.database):
        details = asyncio.run(look_at(door, door.runs.require(name), project, profile))
    if json:
        print_json(details_json(details))
    else:
        print_details(details)


@app.command("resume")
def resume(
    name: RunName,
    approve: Annotated[bool, typer.Option("--approve", help="Say yes to what it asks.")] = False,
    refuse: Annotated[bool, typer.Option("--refuse", help="Say no to what it asks.")] = False,
    nodes: Annotated[
        list[str] | None, typer.Option("--node", metavar="NODE", help="Whose question is answered, where several ask.")
    ] = None,
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="Why not.")] = "",
    pairs: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="What the approved call is to have instead; @FILE reads one."),
    ] = None,
    out: MediaFolder = None,
    json: Json = False,
    trace: Trace = False,
    offline: Offline = False,
    quiet: Quiet = False,
    profile: ProfileName = None,
    project: ProjectFolder = None,
) -> None:
    """Go on with a run that failed, was interrupted, or waits for a person. What was completed is not done again."""
    from sensorium.cli.running import Showing, run_and_show, telling_why_not
    from sensorium.graph import RunOptions
    from sensorium.graph.resume import require_resumable
    from sensorium.project.answers import answer
    from sensorium.project.kept import find_run, graph_of, project_of

    with telling_why_not(None, json=json):
        record = require_resumable(find_run(name, project, profile))
        door = project_of(record, project, profile, offline=offline)
        chosen = graph_of(door, record)
        given = _answer(approve, refuse, nodes or [], why, pairs or [], door.store)
        if given is not None:
            with door.store.in_use():
                asyncio.run(answer(door, record, given))
        showing = Showing(out=out, json=json, trace=trace, quiet=quiet)
        code = run_and_show(door, lambda how: chosen.aresume(record.run, options=how), RunOptions(), showing)
    if code:
        raise typer.Exit(code)


@app.command("fork")
def fork(
    name: RunName,
    node: Annotated[str, typer.Option("--from", metavar="NODE", help="The node that is run again, with what follows.")],
    seed: Annotated[int | None, typer.Option("--seed", metavar="N", help="Another seed, from NODE on.")] = None,
    out: MediaFolder = None,
    json: Json = False,
    trace: Trace = False,
    offline: Offline = False,
    quiet: Quiet = False,
    profile: ProfileName = None,
    project: ProjectFolder = None,
) -> None:
    """Run a node and what follows it again, as a new run that keeps everything else."""
    from sensorium.cli.running import Showing, run_and_show, telling_why_not
    from sensorium.graph import RunOptions
    from sensorium.project.kept import find_run, graph_of, project_of

    with telling_why_not(None, json=json):
        record = find_run(name, project, profile)
        door = project_of(record, project, profile, offline=offline)
        chosen = graph_of(door, record)
        showing = Showing(out=out, json=json, trace=trace, quiet=quiet)
        options = RunOptions(seed=seed)
        code = run_and_show(door, lambda how: chosen.afork(record.run, node, options=how), options, showing)
    if code:
        raise typer.Exit(code)


@app.command("rm")
def remove(
    names: Annotated[list[str], typer.Argument(metavar="ID...", help="Runs.")],
    json: Json = False,
    profile: ProfileName = None,
    project: ProjectFolder = None,
) -> None:
    """Remove runs with the results that they made: all that are named or, where one of them is not there, none."""
    from sensorium.project import Project
    from sensorium.project.dropping import remove_runs

    door = Project.find(project, profile=profile)
    with closing(door.database):
        removed = remove_runs(door, names)
    if json:
        print_json({"removed": [{"run": run, "results": count} for run, count in removed.items()]})
        return
    for run, count in removed.items():
        results = "1 result" if count == 1 else f"{count} results"
        typer.echo(f"{run}: {results}; `sensorium store gc` frees what nothing else refers to")


def _answer(approve: bool, refuse: bool, nodes: list[str], why: str, pairs: list[str], store: Store) -> Answer | None:
    """What the person says; None where the person says nothing.

    Raises:
        CallerError: The options say both, or something of an answer that is not given.
    """
    from sensorium.cli.inputs import read_inputs
    from sensorium.errors import CallerError
    from sensorium.project.answers import Answer

    if approve and refuse:
        raise CallerError("--approve and --refuse say opposite things; give one")
    if pairs and not approve:
        raise CallerError("--set changes what an approved call has; give it with --approve")
    if why and not refuse:
        raise CallerError("--why says why not; give it with --refuse")
    if not approve and not refuse:
        if nodes:
            raise CallerError("--node says whose question is answered; give it with --approve or --refuse")
        return None
    return Answer(is_approved=approve, nodes=nodes, why=why, change=lambda types: read_inputs(types, pairs, store))
