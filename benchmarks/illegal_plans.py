"""Illegal plans that are carried out: `benchmarks/illegal_plans.py [--replies N] [--seed S]`. Limit: 0 of 10,000.

Each reply goes the whole way: a graph whose agent plans, the checker, the runner, the result store. The replies are
noise, broken JSON, deep nesting, plans of up to 10,000 calls, unknown tools, wrong types, cycles, hostile names, and
legal plans now and then. What was carried out is judged by tables of the benchmark's own, not by the checker. Where no
plan is legal the agent goes step by step, and its choices are garbage too.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

from illegal.desk import TOOLS, desk
from illegal.garbage import Garbage
from report import RESULTS, Figure, report

from sensorium.events import Event, PlanMade, ToolCalled
from sensorium.graph import RunOptions

REPLIES = 10_000


async def measure(folder: Path, replies: int, seed: int) -> Counter[str]:
    """How often what happened."""
    garbage = Garbage(random.Random(seed), TOOLS)
    project, graph = desk(folder, garbage)
    counts: Counter[str] = Counter()
    while counts["replies"] < replies:
        seen: list[Event] = []
        options = RunOptions(on_event=seen.append, raise_on_failure=False)
        result = await graph.arun(request=f"Request {counts['runs']}", options=options)
        counts["runs"] += 1
        counts["replies"] = garbage.replies
        plans = [event for event in seen if isinstance(event, PlanMade)]
        counts["plans refused"] += sum(bool(plan.faults) for plan in plans)
        counts["plans carried out"] += sum(not plan.faults for plan in plans)
        faults = garbage.faults_of(seen)
        counts["illegal plans carried out"] += bool(faults)
        if faults:
            print(f"illegal: {faults} in {[plan.plan for plan in plans]}", file=sys.stderr)
        calls = [event for event in seen if isinstance(event, ToolCalled) and event.status == "done"]
        counts["calls"] += len(calls)
        counts["acts without a yes"] += sum(call.tool == "send" for call in calls)
        counts["faults of our own"] += result.error is not None and result.error.kind in ("internal", "author")
        counts[f"runs {result.status}"] += 1
    await project.close()
    return counts


def main(replies: int, seed: int, results: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="plans-") as folder:
        counts = asyncio.run(measure(Path(folder), replies, seed))
    for name, count in counts.items():
        print(f"{count:7,} {name}")
    figures = [
        Figure("replies", counts["replies"], replies, at_most=False),
        Figure("legal plans carried out", counts["plans carried out"], replies / 100, at_most=False),
        *(Figure(name, counts[name], 0) for name in ("illegal plans carried out", "acts without a yes")),
        Figure("faults of our own", counts["faults of our own"], 0),
    ]
    report("illegal_plans", figures, folder=results, seed=seed, **counts)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replies", type=int, default=REPLIES)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    main(given.replies, given.seed, given.results)
