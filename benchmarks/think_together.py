"""What two agents come to that each know a half, by thoughts and by text: `python benchmarks/think_together.py`.

Each task gives one fact to the first agent of the graph `think-together` and one to the second, and asks what only both
together tell. The graph runs five ways, on one model:

    4 thoughts      the box's graph: keys and values cross, 4 thoughts of each agent among them
    16 thoughts     the same with more
    no thoughts     the same without thoughts: what was read crosses as keys and values
    text            what was read crosses as text
    written         each agent writes down what it thinks, and the text crosses: how agents usually work together

A task is right where the answer holds the word that is asked for. Prefill counts positions that a model reads anew.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

from report import Figure, report

from sensorium.checkpoint import Checkpoints
from sensorium.events import Event, ModelAsked, WireCrossed
from sensorium.graph import RunOptions
from sensorium.host import WorkerHost
from sensorium.latent.sealing import Sealer
from sensorium.model import open_model
from sensorium.project import Project
from sensorium.project.folders import home_folder
from sensorium.spec.projectfile import ModelSetting
from sensorium.testing import Scratch

TASKS = [line.split("\t") for line in Path(__file__).with_suffix(".tsv").read_text().splitlines()[1:]]
WAYS = {
    "16 thoughts": (16, "kv"),
    "4 thoughts": (4, "kv"),
    "no thoughts": (0, "kv"),
    "text": (0, "text"),
    "written": (0, ""),
}
_THINK = "Think about what this means together with all that was said before."
_CONCLUDE = "You know all that was said above. Answer the question from it, in one short sentence."


@dataclass(slots=True)
class Way:
    """What one way came to."""

    num_right: int = 0
    seconds: float = 0.0
    num_read: int = 0
    """Positions that were read anew."""
    num_written: int = 0
    num_bytes: int = 0
    answers: list[str] = field(default_factory=list[str])


def held_graph(rung: str) -> str:
    """`think-together`, whose wires allow one rung."""
    wire = f"wire: {{thoughts: {{rungs: [{rung}]}}}}"
    return f"""
        name: together-{rung}
        inputs: {{first: text, second: text, question: text}}
        nodes:
          begin: {{agent: thinker, with: {{notes: $first}}}}
          go-on: {{agent: thinker, with: {{notes: $second, thoughts: $begin.thoughts}}, {wire}}}
          say: {{agent: concluder, with: {{thoughts: $go-on.thoughts, question: $question}}, {wire}}}
        outputs: {{answer: $say.answer}}
    """


WRITTEN = """
    name: together-written
    inputs: {first: text, second: text, question: text}
    nodes:
      begin: {agent: writer, with: {request: $first}}
      go-on: {agent: writer, with: {request: $second, before: $first, thought: $begin.answer}}
      say: {agent: answerer, with: {question: $question, first: $first, second: $second, thought: $go-on.answer}}
    outputs: {answer: $say.answer}
"""


def prepared(scratch: Scratch, num_thoughts: int) -> None:
    """The agents of a way."""
    thoughts = "latent(lm.context)"
    scratch.agent(
        "thinker",
        prompt=_THINK,
        inputs={"notes": "text", "thoughts": f"{thoughts}?"},
        outputs={"thoughts": thoughts},
        limits={"thoughts": num_thoughts},
    )
    scratch.agent(
        "concluder",
        prompt=_CONCLUDE,
        inputs={"thoughts": thoughts, "question": "text"},
        outputs={"answer": "text"},
        limits={"answer_tokens": 24},
    )
    asked = {"request": "text", "before": "text?", "thought": "text?"}
    scratch.agent("writer", prompt=_THINK, inputs=asked, limits={"answer_tokens": 24})
    given = {"question": "text", "first": "text", "second": "text", "thought": "text"}
    scratch.agent("answerer", prompt=_CONCLUDE, inputs=given, limits={"answer_tokens": 24})


async def measure(model_name: str, num_tasks: int) -> dict[str, Way]:
    """All ways over the tasks, task by task."""
    checkpoints = Checkpoints(home_folder(), Project(None).manifests)
    ways = {name: Way() for name in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        scratch = Scratch(Path(folder))
        host = WorkerHost(scratch.home, scratch.store)
        scratch.models["central"] = model = open_model(
            "central",
            ModelSetting(checkpoint=model_name, backend="transformers", dtype="float32", context_tokens=2048),
            checkpoint=checkpoints.directory(model_name),
            digest=checkpoints.digest(model_name),
            host=host,
            keep_warm_s=300,
            sealer=Sealer(scratch.store, scratch.home),
        )
        for first, second, question, word in TASKS[:num_tasks]:
            for name, (num_thoughts, rung) in WAYS.items():
                prepared(scratch, num_thoughts)
                graph = scratch.graph(held_graph(rung) if rung else WRITTEN)
                events: list[Event] = []
                began_s = perf_counter()
                options = RunOptions(fresh=True, on_event=events.append)
                result = await graph.arun(first=first, second=second, question=question, options=options)
                way = ways[name]
                way.seconds += perf_counter() - began_s
                way.answers.append(str(result["answer"]))
                way.num_right += word.lower() in way.answers[-1].lower()
                asked = [event for event in events if isinstance(event, ModelAsked)]
                way.num_read += sum(event.prompt_tokens - event.reused_tokens for event in asked)
                way.num_written += sum(event.answer_tokens for event in asked)
                way.num_bytes += sum(event.num_bytes for event in events if isinstance(event, WireCrossed))
                print(f"{question} {name}: {way.answers[-1]!r}", flush=True)
        await host.unload(getattr(model, "binding"))  # noqa: B009 -- the Protocol knows no bindings
        await host.close()
        await scratch.close()
    return ways


def main() -> None:
    """Measures, prints the table, and keeps it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="qwen2.5-coder-0.5b-transformers")
    parser.add_argument("--tasks", type=int, default=len(TASKS))
    options = parser.parse_args()
    ways = asyncio.run(measure(options.model, options.tasks))
    for name, way in ways.items():
        print(
            f"{name:12} {way.num_right:3} of {options.tasks}  {way.seconds:7.1f} s  {way.num_read:6} read  "
            f"{way.num_written:5} written  {way.num_bytes:12,} bytes"
        )
    report(
        "think_together",
        [
            Figure(
                "right by thoughts over right by text",
                ways["4 thoughts"].num_right / max(ways["text"].num_right, 1),
                1.0,
                at_most=False,
            )
        ],
        model=options.model,
        tasks=options.tasks,
        ways={
            name: {
                "right": way.num_right,
                "seconds": way.seconds,
                "positions_read": way.num_read,
                "positions_written": way.num_written,
                "bytes": way.num_bytes,
                "answers": way.answers,
            }
            for name, way in ways.items()
        },
    )


if __name__ == "__main__":
    main()
