"""What is lost and what is done twice when processes are killed: `python benchmarks/kills.py [--kills N] [--seed S]`.

Runs of several shapes, with tools in processes of their own, are killed by SIGKILL at moments that lots decide: the
orchestrator's process, that of a tool, or both. A new process goes on with the run, and may be killed too. Every call
is written down outside when it begins and when it ends. A call is completed when its result is in the database after
the kill; one that was in flight may begin again.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from killing.case import KINDS, Case, Kind, Verdict, attempts, reference_of
from killing.shapes import SHAPES
from report import RESULTS, Figure, report

KILLS = 216


def cases(folder: Path, kills: int, seed: int) -> Iterator[Verdict]:
    """Cases of all shapes by turns, until something was killed so often."""
    context = attempts()
    references = {shape: reference_of(context, shape, folder / shape) for shape in SHAPES}
    number = done = 0
    while done < kills:
        shape = list(SHAPES)[number % len(SHAPES)]
        here = folder / f"case-{number}"
        verdict = Case(shape, references[shape], random.Random(f"{seed} {number}")).carried_out(context, here)
        if verdict.is_wrong:
            print(f"case {number} of seed {seed} went wrong, see {here}: {verdict}", file=sys.stderr)
        else:
            shutil.rmtree(here)
        number, done = number + 1, done + verdict.kills.total()
        yield verdict


def show(verdicts: list[Verdict]) -> None:
    """Prints a line for each shape."""
    for shape in SHAPES:
        own = [verdict for verdict in verdicts if verdict.shape == shape]
        kills = sum((verdict.kills for verdict in own), Counter[Kind]())
        kinds = ", ".join(f"{kind} {kills[kind]}" for kind in KINDS)
        wrong = sum((verdict.figures for verdict in own), Counter[str]())
        told = ", ".join(f"{name} {wrong[name]}" for name in ("repeated", "lost", "differing", "in flight again"))
        print(f"{shape:8} {len(own):3} runs, {kills.total():3} kills ({kinds}): {told}")


def main(kills: int, seed: int, results: Path) -> None:
    folder = Path(tempfile.mkdtemp(prefix="kills-"))
    verdicts = list(cases(folder, kills, seed))
    show(verdicts)
    if not any(verdict.is_wrong for verdict in verdicts):
        shutil.rmtree(folder)
    killed = sum((verdict.kills for verdict in verdicts), Counter[Kind]())
    total = sum((verdict.figures for verdict in verdicts), Counter[str]())
    report(
        "kills",
        [
            Figure("times that processes were killed", killed.total(), kills, at_most=False),
            Figure("completed calls repeated", total["repeated"], 0),
            Figure("runs lost", total["lost"], 0),
            Figure("runs whose outputs are not those of one that was not killed", total["differing"], 0),
        ],
        folder=results,
        seed=seed,
        runs=len(verdicts),
        attempts=sum(verdict.attempts for verdict in verdicts),
        killed=dict(killed),
        in_flight_again=total["in flight again"],
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=KILLS, help="how many, at least")
    parser.add_argument("--seed", type=int, default=1, help="decides what is killed, and when")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where figures are kept")
    given = parser.parse_args()
    main(given.kills, given.seed, given.results)
