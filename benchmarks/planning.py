"""What typed plans are worth beside a naive whole plan: the same samples, the same model, in turn.

    python benchmarks/planning.py DATA_FOLDER [--limit N] [--examples N] [--profile NAME] [--ways naive whole]

The folder holds data in the TaskBench format (docs/evaluation.md); none lies in the repository. Answers that were kept
in `--out` are not asked for again. Writes `results/planning-DATA-PROFILE.json`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, get_args

from report import RESULTS, machine_kind

from sensorium.evaluation.planned import PlanningWay, PlanSetting, PlansMeasured, measure_plans
from sensorium.evaluation.report import plans_json, plans_markdown
from sensorium.evaluation.taskbench import read_taskbench
from sensorium.project import Project

GOAL = {"node_f1": 0.728, "edge_f1": 0.440, "illegal": 0.0, "times_naive": 1.5}
"""What gpt-3.5 is published with on TaskBench Multimedia (arXiv 2311.18760), nothing illegal, and the time of naive."""


async def measure(given: argparse.Namespace) -> dict[PlanningWay, PlansMeasured]:
    """Figures of each way."""
    bench = read_taskbench(given.data)
    project = Project(None, profile=given.profile)
    ways: list[PlanningWay] = given.ways
    try:
        model = await project.model("central")
        measured: dict[PlanningWay, PlansMeasured] = {}
        for way in ways:
            keep = None if given.out is None else given.out / "answers.jsonl"
            setting = PlanSetting(way, given.limit, given.seed, given.examples, keep)
            measured[way] = await measure_plans(bench, model, setting, partial(see, way))
            print(plans_markdown(measured[way]), end="\n\n", flush=True)
        return measured
    finally:
        await project.close()


def see(way: str, done: int, total: int) -> None:
    """A line for every tenth sample."""
    if done % 10 == 0 or done == total:
        print(f"{way}: {done} of {total}", file=sys.stderr, flush=True)


def report(given: argparse.Namespace, measured: dict[PlanningWay, PlansMeasured]) -> int:
    """Prints and writes the figures; 0 where a way reaches every goal."""
    naive_s = measured["naive"].figures["overall"].total_s if "naive" in measured else None
    told: dict[str, Any] = {}
    reached = False
    for way, figures in measured.items():
        overall = figures.figures["overall"]
        times = None if naive_s is None else overall.total_s / naive_s
        told[way] = {**plans_json(figures), "times_naive": times}
        print(
            f"{way}: node F1 {overall.node.f1:.1%} (goal {GOAL['node_f1']:.1%}), edge F1 {overall.link.f1:.1%} "
            f"(goal {GOAL['edge_f1']:.1%}), illegal {overall.illegal:.1%} (at first {overall.illegal_at_first:.1%}; "
            f"goal 0), {overall.total_s:.0f} s"
            + ("" if times is None else f", {times:.2f} x naive (goal {GOAL['times_naive']} x)")
        )
        good = overall.node.f1 > GOAL["node_f1"] and overall.link.f1 > GOAL["edge_f1"] and not overall.illegal
        reached = reached or (good and times is not None and times <= GOAL["times_naive"])
    data = measured[next(iter(measured))].data
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine_kind(),
        "profile": given.profile,
        "data": data,
        "limit": given.limit,
        "seed": given.seed,
        "examples": given.examples,
        "goal": GOAL,
        "ways": told,
    }
    target = RESULTS / f"planning-{data}-{given.profile}.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0 if reached else 1


def main() -> int:
    """Parses, measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", help="a folder in the TaskBench format")
    parser.add_argument("--limit", type=int, help="only so many samples, drawn from each kind")
    parser.add_argument("--seed", type=int, default=0, help="which samples are drawn")
    parser.add_argument("--examples", type=int, default=0, help="samples that the model is shown, and not asked")
    parser.add_argument("--profile", default="embedded")
    parser.add_argument("--ways", nargs="+", choices=get_args(PlanningWay), default=["naive", "whole", "steps"])
    parser.add_argument("--out", type=Path, help="where answers are kept")
    given = parser.parse_args()
    if given.data is None:
        print("planning: no data in the TaskBench format was named; docs/evaluation.md says where some can be had")
        return 0
    return report(given, asyncio.run(measure(given)))


if __name__ == "__main__":
    sys.exit(main())
