"""Which tool the assistant calls first, with every tool legal.

    python benchmarks/routing.py [--profile small] [--limit N] [--requests FILE.tsv]

The requests of `routing-fresh.tsv` count: nothing was fitted to them. Those of `routing.tsv` and
`routing-development.tsv` serve the prompt's development. Prints right choices by language and by tool against the
limits, and writes `results/FILE-PROFILE.json`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

from sensorium.agent import Agent, Card, Script
from sensorium.model.contract import Ask, Model, ModelEvent, Reply, Usage
from sensorium.parts import Audio, Blob, Boxes, Image, Masks, Text, Value
from sensorium.project import Project
from sensorium.store import Store

HERE = Path(__file__).parent
LIMITS = {"small": 0.85, "embedded": 0.92}
CHINESE = re.compile(r"[\u4e00-\u9fff]")


@dataclass(frozen=True)
class Row:
    """A request, the tool that serves it, and the one that was called."""

    request: str
    right: str
    chosen: str

    @property
    def language(self) -> str:
        """`zh` where it has a Chinese character."""
        return "zh" if CHINESE.search(self.request) else "en"


@dataclass(frozen=True)
class Measured:
    """What the requests led to."""

    rows: list[Row]
    num_illegal: int
    """Choices that were none of those allowed."""
    choice_s: float
    """The median time of one choice."""


class FirstCall(Exception):
    """The agent calls a tool; that is all that is asked here."""


@dataclass
class Recorder:
    """A toolbox that notes the first call and whether it was legal."""

    cards: tuple[Card, ...]
    called: str = ""

    async def call(self, name: str, inputs: Mapping[str, Value]) -> dict[str, Value]:
        """Never gives anything."""
        self.called = name
        raise FirstCall


def at_hand(folder: Path) -> dict[str, Value]:
    """A picture, a sound, and the boxes and masks that earlier calls made."""
    store = Store(folder)
    blob: Blob = store.put(b"nothing here is opened", "application/octet-stream")
    return {
        "image": Image(blob, 640, 480),
        "audio": Audio(blob, 4.0, 16000),
        "boxes": Boxes(((10.0, 10.0, 90.0, 90.0),)),
        "masks": Masks(blob, 1, 480, 640),
    }


async def first_tool(agent: Agent, recorder: Recorder, request: str, parts: Mapping[str, Value]) -> str:
    """The tool that the agent calls first, or `answer`."""
    recorder.called = ""
    try:
        await agent.work({"request": Text(request), **parts})
    except FirstCall:
        return recorder.called
    return "answer"


class Shortcut:
    """The model, but for replies whose words nobody looks at here."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.num_illegal = 0
        self.choice_s: list[float] = []

    @property
    def identity(self) -> str:
        """That of the model."""
        return self.model.identity

    @property
    def reads(self) -> frozenset[str]:
        """Those of the model."""
        return self.model.reads

    def prompt(self, ask: Ask) -> str:
        """That of the model."""
        return self.model.prompt(ask)

    async def ask(self, ask: Ask) -> AsyncIterator[ModelEvent]:
        """Asks the model for choices; a text is what the schema wants, an answer is empty."""
        if ask.choices is None:
            names = (ask.schema or {}).get("required", [])
            yield Reply(json.dumps(dict.fromkeys(names, "x")), Usage(0, 0), "stop")
            return
        began_s = perf_counter()
        async for event in self.model.ask(ask):
            if isinstance(event, Reply):
                self.choice_s.append(perf_counter() - began_s)
                self.num_illegal += event.text not in ask.choices
            yield event

    async def close(self) -> None:
        """Nothing."""


def table(rows: list[Row]) -> dict[str, dict[str, str]]:
    """Right out of all, for each tool and for all, by language."""
    groups = [*dict.fromkeys(row.right for row in rows), "all"]
    return {
        group: {
            language: f"{sum(row.right == row.chosen for row in part)}/{len(part)}"
            for language in ("en", "zh", "both")
            for part in [[r for r in rows if group in ("all", r.right) and language in ("both", r.language)]]
        }
        for group in groups
    }


async def measure(profile: str, lines: list[str]) -> Measured:
    """Runs the requests."""
    project = Project(None, profile=profile)
    entry = project.catalogue.agents["assistant"]
    spec = entry.spec.model_copy(update={"inputs": {**entry.spec.inputs, "boxes": "boxes?", "masks": "masks?"}})
    model = Shortcut(await project.model(spec.model))
    tools = project.catalogue.tools
    recorder = Recorder(tuple(Card(name, tools[name].spec.about, tools[name].spec.signature) for name in spec.tools))
    agent = Agent(spec, Script.parse(entry.prompt), model, recorder)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        parts = at_hand(Path(folder))
        for line in lines:
            request, right = line.split("\t")
            rows.append(Row(request, right, await first_tool(agent, recorder, request, parts)))
            print(".", end="", file=sys.stderr, flush=True)
    await project.close()
    return Measured(rows, model.num_illegal, sorted(model.choice_s)[len(model.choice_s) // 2])


def report(requests: Path, profile: str, measured: Measured) -> int:
    """Prints and writes the figures; 0 where the limit is reached and no call was illegal."""
    rows = measured.rows
    share = sum(row.right == row.chosen for row in rows) / len(rows)
    limit = LIMITS.get(profile, 0.85)
    cells = table(rows)
    print(f"\n{'tool':<12}{'en':>8}{'zh':>8}{'both':>8}")
    for name, cell in cells.items():
        print(f"{name:<12}{cell['en']:>8}{cell['zh']:>8}{cell['both']:>8}")
    for row in rows:
        if row.right != row.chosen:
            print(f"  {row.request!r}: {row.chosen}, right would be {row.right}")
    print(f"right first tool {share:.1%} (limit {limit:.0%}); illegal {measured.num_illegal} (limit 0); ", end="")
    print(f"median choice {measured.choice_s:.2f} s")
    result = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} CPU cores, no GPU",
        "requests": requests.name,
        "profile": profile,
        "right": share,
        "limit": limit,
        "illegal": measured.num_illegal,
        "median_choice_s": measured.choice_s,
        "table": cells,
    }
    target = HERE / "results" / f"{requests.stem}-{profile}.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0 if share >= limit and measured.num_illegal == 0 else 1


def main() -> int:
    """Parses, measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="small")
    parser.add_argument("--limit", type=int, help="only the first so many requests")
    parser.add_argument("--requests", type=Path, default=HERE / "routing-fresh.tsv")
    given = parser.parse_args()
    lines = given.requests.read_text(encoding="utf-8").splitlines()[1:]
    measured = asyncio.run(measure(given.profile, lines[: given.limit]))
    return report(given.requests, given.profile, measured)


if __name__ == "__main__":
    sys.exit(main())
