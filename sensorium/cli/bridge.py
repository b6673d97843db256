"""`sensorium bridge`: maps from what one model computed to what another reads.

The engine loads when a command runs, so that `--help` stays quick.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

import sensorium
from sensorium.cli.options import Json, ProjectFolder, Quiet
from sensorium.cli.print_json import print_json
from sensorium.cli.training import TrainingBars
from sensorium.errors import CallerError

if TYPE_CHECKING:
    from sensorium.latent.bridge import Bridge, Receiver, Sender

__all__ = ["app"]

_OF_A_JOB = ("sender", "receiver", "text", "tap", "stride", "hidden", "positions", "end_to_end", "rate", "seed")

app = typer.Typer(no_args_is_help=True, help="Bridges: maps from one model's states to what another reads.")


@app.command("list")
def list_(json: Json = False, project: ProjectFolder = None) -> None:
    """List bridges: from which model to which, how large, and what was measured."""
    bridges = sensorium.Project.find(project).bridges
    if json:
        print_json({"bridges": [_told(bridge) for bridge in bridges]})
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("name", "from", "to", "stride", "parameters", "recovered"):
        table.add_column(heading, overflow="fold")
    for bridge in bridges:
        spec = bridge.spec
        reads = f"{spec.sender.model} {spec.sender.tap}"
        parameters = f"{spec.parameters / 1e6:.1f} M"
        table.add_row(spec.name, reads, spec.receiver.model, str(spec.stride), parameters, _recovered(bridge))
    Console(highlight=False, markup=False).print(table if bridges else "no bridge is here")


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A bridge, or the folder of one.")],
    json: Json = False,
    project: ProjectFolder = None,
) -> None:
    """Show a bridge: what it reads and gives, how it was trained, and its card. Its weights are checked."""
    from sensorium.latent.bridge import read_bridge

    named = {bridge.spec.name: bridge for bridge in sensorium.Project.find(project).bridges}
    if name not in named and not Path(name).is_dir():
        known = ", ".join(named) or "none"
        raise CallerError(f"no bridge is called {name!r}; bridges: {known}")
    bridge = named.get(name) or read_bridge(name)
    bridge.arrays  # noqa: B018  # reading them checks them
    if json:
        print_json(_told(bridge))
        return
    spec = bridge.spec
    typer.echo(f"{spec.name}: {spec.about}")
    typer.echo(f"from {_end(spec.sender)} at {spec.sender.tap}, width {spec.sender.width}")
    typer.echo(f"to {_end(spec.receiver)}, width {spec.receiver.width}")
    typer.echo(f"stride {spec.stride}, {spec.parameters:,} parameters, recovered {_recovered(bridge)}")
    training = spec.training
    typer.echo(
        f"trained for {training.cpu_minutes:.1f} CPU-minutes, {training.steps:,} steps: {'; '.join(training.stages)}"
    )


@app.command()
def train(
    context: typer.Context,
    sender: Annotated[str, typer.Argument(metavar="FROM", help="Checkpoint of the model that will be read.")],
    receiver: Annotated[str, typer.Argument(metavar="TO", help="Checkpoint of the model that will read.")],
    text: Annotated[Path | None, typer.Option("--text", metavar="FOLDER", help="Texts to learn from.")] = None,
    tap: Annotated[str, typer.Option("--tap", help="Which of the sender's states.")] = "hidden[4]",
    stride: Annotated[int, typer.Option("--stride", min=1, max=64, help="Positions that become one.")] = 1,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Folder of the bridge.")] = None,
    minutes: Annotated[
        float | None,
        typer.Option("--minutes", min=0.1, help="CPU-minutes in all; 100, or those that a training began with."),
    ] = None,
    hidden: Annotated[int, typer.Option("--hidden", min=1, help="Width inside the map.")] = 1536,
    positions: Annotated[int, typer.Option("--positions", min=64, help="States to learn from.")] = 1_000_000,
    end_to_end: Annotated[
        float | None,
        typer.Option("--end-to-end", min=0, max=1, help="Share of the time with the receiver in the loop."),
    ] = None,
    rate: Annotated[float, typer.Option("--rate", min=1e-6, max=1, help="Learning rate of that share.")] = 1e-3,
    seed: Annotated[int, typer.Option("--seed")] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a training that was interrupted.")] = False,
    json: Json = False,
    quiet: Quiet = False,
    project: ProjectFolder = None,
) -> None:
    """Train a bridge on texts, in a process of its own. Ctrl-C keeps what is done; --resume goes on from there.

    With more --minutes, --resume also goes on with a training that is done.
    """
    from sensorium.latent.bridge import read_bridge
    from sensorium.latent.bridge_begin import begin, require_name, resumed
    from sensorium.latent.bridge_job import TrainingJob, train

    door = sensorium.Project.find(project)
    out = (out or (door.folder or Path.cwd()) / "bridges" / f"{sender}-to-{receiver}").absolute()
    require_name(out)
    state = door.home / "training" / out.name
    if resume:
        job = resumed(state, out, _asked(context), minutes)
    elif text is None:
        raise CallerError("a training wants texts; give a folder with --text, or --resume to go on with one")
    else:
        job = TrainingJob(
            name=out.name,
            **_model(door, sender, "sender"),
            **_model(door, receiver, "receiver"),
            licences=_licences(door, sender, receiver),
            texts=str(text.absolute()),
            tap=tap,
            stride=stride,
            hidden=hidden,
            positions=positions,
            end_to_end=(0.2 if stride == 1 else 0.9) if end_to_end is None else end_to_end,
            rate=rate,
            minutes=minutes or 100.0,
            seed=seed,
            out=str(out.parent),
            state=str(state),
        )
        begin(job)
    with TrainingBars(job.name, quiet=quiet) as bars:
        try:
            folder = train(job, bars.see)
        except KeyboardInterrupt:
            bars.say("what is done was kept; the same command with --resume goes on from there")
            raise
    bridge = read_bridge(folder)
    if json:
        print_json({**_told(bridge), "directory": str(folder)})
    else:
        typer.echo(folder)


def _asked(context: typer.Context) -> dict[str, Any]:
    """What a command says of a training, by the fields of its job; what was left out is not there."""
    told = {name: context.params[name] for name in _OF_A_JOB if _is_given(context, name)}
    if (text := told.pop("text", None)) is not None:
        told["texts"] = str(text.absolute())
    return told


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def _model(door: sensorium.Project, name: str, end: str) -> dict[str, Any]:
    """A checkpoint of the transformers layout: the one of that name, or what is made from it."""
    made = f"{name}-transformers"
    return {end: name, f"{end}_folder": str(door.checkpoints.directory(made if made in door.manifests else name))}


def _licences(door: sensorium.Project, *names: str) -> list[str]:
    return sorted({door.checkpoints.manifest(name).licence for name in names} | {"Apache-2.0"})


def _end(end: Sender | Receiver) -> str:
    return f"{end.model} ({', '.join(weights[:12] for weights in end.weights)})"


def _told(bridge: Bridge) -> dict[str, Any]:
    card = {} if bridge.card is None else bridge.card.to_json()
    return {**bridge.spec.model_dump(mode="json", by_alias=True), "card": card}


def _recovered(bridge: Bridge) -> str:
    if bridge.card is not None:
        return ", ".join(f"{task} {share:.0%}" for task, share in bridge.card.recovered.items())
    stale = (bridge.folder / "card.json").is_file()
    return "not measured: its card is of another bridge or of other weights" if stale else "not measured"
