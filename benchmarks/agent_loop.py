"""What a step of an agent costs beside its model and its tools: `python benchmarks/agent_loop.py [--runs 30]`.

A step is a choice, the writing of a call and the call. The model is scripted and answers at once, the tools do nothing,
in this process; all else is as users have it: the prompt of the box's assistant with all its examples, a chat template,
the run engine, every reply and every result kept in SQLite before it is used. What the run costs besides, its start and
end and the answer, is measured by runs that take no step, and taken off. Then where the time goes, by a profiler.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import json
import os
import pstats
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from report import Figure, report

from sensorium.graph import Graph
from sensorium.model.contract import Ask
from sensorium.model.template import ChatTemplate
from sensorium.project import Project
from sensorium.testing import Scratch, ScriptedModel

LIMIT_MS = 5.0
STEPS = 6
GRAPH = """
    name: {name}
    inputs: {{request: text}}
    nodes: {{think: {{agent: {name}, with: {{request: $request}}}}}}
    outputs: {{answer: $think.answer}}
"""
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

_NUMBERS = count()
"""So that no run is asked what an earlier one was."""


class Nothing:
    """Gives back what it is given."""

    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[dict[str, str]]) -> list[dict[str, str]]:
        return [{"text": call["text"]} for call in batch]

    def close(self) -> None: ...


class AtOnce(ScriptedModel):
    """Wants `find` each time, with another text, and renders prompts as a real model does."""

    def __init__(self) -> None:
        numbers = count()
        super().__init__(lambda ask: _said(ask, numbers))
        self._template = ChatTemplate(TEMPLATE)

    def prompt(self, ask: Ask) -> str:
        """By a chat template."""
        return self._template.render(ask.messages)


def _said(ask: Ask, numbers: Iterator[int]) -> str:
    if ask.choices:
        return "find"
    return json.dumps({"text": f"thing {next(numbers)}"}) if ask.schema else "Done."


def graphs(scratch: Scratch) -> tuple[Graph, Graph]:
    """A graph of an agent that takes all its steps, and one of an agent that takes none."""
    box = Project(None).catalogue
    entry = box.agents["assistant"]
    for name in entry.spec.tools:
        about = box.tools[name].spec.about
        scratch.tool(name, Nothing, inputs={"text": "text"}, outputs={"text": "text"}, about=about)
    shared: dict[str, Any] = {"prompt": entry.prompt, "inputs": {"request": "text"}, "outputs": {"answer": "text"}}
    scratch.agent("busy", tools=entry.spec.tools, limits={"steps": STEPS}, **shared)
    scratch.agent("idle", **shared)
    scratch.models["central"] = AtOnce()
    return scratch.graph(GRAPH.format(name="busy")), scratch.graph(GRAPH.format(name="idle"))


@dataclass(frozen=True, slots=True)
class Taken:
    """What one run took."""

    wall_ms: float
    processor_ms: float
    """Of this process, all its threads: other work on the machine hardly counts."""


async def take(graph: Graph, num_runs: int) -> list[Taken]:
    """What each run takes."""
    taken: list[Taken] = []
    for _ in range(num_runs):
        request = f"Where is thing {next(_NUMBERS)}?"
        began_s, began_processor_s = perf_counter(), process_time()
        await graph.arun(request=request)
        wall_s, processor_s = perf_counter() - began_s, process_time() - began_processor_s
        taken.append(Taken(wall_s * 1000, processor_s * 1000))
    return taken


def by_module(profile: cProfile.Profile) -> dict[str, float]:
    """Which part of the profiled time passed in which module; an outside one by the name of its package.

    Waiting is for the threads that write to the disk.
    """
    spent: defaultdict[str, float] = defaultdict(float)
    stats: dict[tuple[str, int, str], tuple[int, int, float, float, object]] = vars(pstats.Stats(profile))["stats"]
    for (path, _, function), (_, _, seconds, _, _) in stats.items():
        if path == "~":
            spent["waiting" if "poll" in function else "built-in functions"] += seconds
            continue
        parts = Path(path).with_suffix("").parts
        names = parts[parts.index("sensorium", len(parts) - 4) :] if "sensorium" in parts[-4:] else parts[-2:-1]
        spent[".".join(names)] += seconds
    most = sorted(spent.items(), key=lambda one: one[1], reverse=True)[:12]
    return {name or "other": seconds / sum(spent.values()) for name, seconds in most}


async def measure(folder: Path, num_runs: int) -> tuple[list[Taken], list[Taken], dict[str, float]]:
    """Runs with steps and without, and where the time of those with steps went."""
    scratch = Scratch(folder)
    busy, idle = graphs(scratch)
    await take(busy, 1)
    await take(idle, 1)
    with_steps: list[Taken] = []
    without: list[Taken] = []
    for _ in range(num_runs):  # in turn, so that whatever else the machine does is the same for both
        with_steps += await take(busy, 1)
        without += await take(idle, 1)
    with cProfile.Profile() as profile:
        await take(busy, num_runs)
    await scratch.close()
    return with_steps, without, by_module(profile)


def main(num_runs: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        with_steps, without, modules = asyncio.run(measure(Path(folder), num_runs))
    wall_ms = _median(with_steps, "wall_ms") - _median(without, "wall_ms")
    processor_ms = _median(with_steps, "processor_ms") - _median(without, "processor_ms")
    for name, share in modules.items():
        print(f"  {share:>6.1%} {name}")
    report(
        "agent_loop",
        [
            Figure("a step of an agent, without model and tools", wall_ms / STEPS, LIMIT_MS, unit="ms"),
            Figure("the same, time of the processor", processor_ms / STEPS, LIMIT_MS, unit="ms"),
        ],
        runs=num_runs,
        steps=STEPS,
        load=os.getloadavg()[0],
        run_ms=_median(with_steps, "wall_ms"),
        run_without_steps_ms=_median(without, "wall_ms"),
        shares_of_profiled_time=modules,
    )


def _median(taken: Sequence[Taken], what: str) -> float:
    return statistics.median(getattr(one, what) for one in taken)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=30)
    main(parser.parse_args().runs)
