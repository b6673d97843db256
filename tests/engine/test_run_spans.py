"""A run as OpenTelemetry spans: which there are, what they lie in, what they say and what they keep to themselves."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from sensorium.graph import RunOptions
from sensorium.graph.spans import Spans, spans_of_run
from sensorium.model.contract import Ask, ModelEvent, Piece
from sensorium.testing import Scratch, ScriptedModel

SECRET = "the crown jewels"


class Shout:
    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for call in batch:
            if "whisper" in call["text"]:
                raise ValueError(call["text"])
        return [{"text": call["text"].upper()} for call in batch]

    def close(self) -> None: ...


@pytest_asyncio.fixture
async def project(tmp_path: Path) -> AsyncGenerator[Scratch]:
    made = Scratch(tmp_path)
    made.tool("shout", Shout, inputs={"text": "text"}, outputs={"text": "text"})
    made.agent("helper", tools=["shout"], inputs={"request": "text"}, outputs={"answer": "text"})
    yield made
    await made.close()


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def provider(exporter: InMemorySpanExporter) -> TracerProvider:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider


def seen_by(provider: TracerProvider, *, with_texts: bool = False) -> RunOptions:
    spans = Spans(provider.get_tracer("test"), with_texts=with_texts)
    return RunOptions(on_event=spans.see, raise_on_failure=False)


def said(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def tree(exporter: InMemorySpanExporter) -> list[tuple[str, str]]:
    """Each span's path or name with that of its parent, in the order in which they ended."""
    spans = exporter.get_finished_spans()
    names = {span.context.span_id: _place(span) for span in spans if span.context is not None}
    return [(_place(span), names[span.parent.span_id] if span.parent is not None else "") for span in spans]


def _place(span: ReadableSpan) -> str:
    is_node = "sensorium.calls" in said(span) or span.name in said(span).get("sensorium.node", "").split("/")
    return str(said(span)["sensorium.node"]) if is_node else span.name


def only(exporter: InMemorySpanExporter, name: str) -> ReadableSpan:
    (found,) = [span for span in exporter.get_finished_spans() if span.name == name]
    return found


def shouts(ask: Ask) -> str:
    if ask.choices:
        return "answer" if "(done:" in ask.messages[-1].content else "shout"
    return json.dumps({"text": SECRET}) if ask.schema else f"I shouted {SECRET}."


TALK = """
    name: talk
    inputs: {request: text}
    nodes: {think: {agent: helper, with: {request: $request}}}
    outputs: {answer: $think.answer}
"""


async def test_nodes_lie_in_the_graphs_and_lists_that_they_are_run_by(
    project: Scratch, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    project.graph("""
        name: inner
        inputs: {word: text}
        nodes: {loud: {tool: shout, with: {text: $word}}}
        outputs: {loud: $loud.text}
    """)
    await project.graph("""
        name: outer
        inputs: {words: "[text]"}
        nodes: {album: {graph: inner, with: {word: $one}, each: $words, as: one}}
        outputs: {loud: $album.loud}
    """).arun(words=["a", "b"], options=seen_by(provider))
    assert sorted(tree(exporter)) == [
        ("album", "run outer"),
        ("album[0]", "album"),
        ("album[0]/loud", "album[0]"),
        ("album[1]", "album"),
        ("album[1]/loud", "album[1]"),
        ("run outer", ""),
    ]
    assert {span.name for span in exporter.get_finished_spans()} == {"run outer", "album", "loud"}
    assert len({span.context.trace_id for span in exporter.get_finished_spans() if span.context is not None}) == 1


async def test_asks_and_calls_of_an_agent_lie_in_its_node(
    project: Scratch, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    model = project.scripted("central", shouts)
    result = await project.graph(TALK).arun(request="Shout", options=seen_by(provider))
    asks = ("chat central", "think")
    assert tree(exporter) == [asks, asks, ("execute_tool shout", "think"), asks, asks, ("think", "run talk"),
                              ("run talk", "")]  # fmt: skip
    shared = {"sensorium.run.id": result.run, "sensorium.graph": "talk"}
    choose, fill, called, _, answer, think, run = exporter.get_finished_spans()
    assert answer.kind == SpanKind.CLIENT
    assert said(answer).pop("sensorium.seconds") <= said(think)["sensorium.seconds"] <= result.seconds
    usage = {name: value for name, value in said(answer).items() if name.startswith("gen_ai.")}
    assert usage["gen_ai.usage.input_tokens"] == len(model.prompt(model.asked[-1]).split())
    assert usage | {"gen_ai.usage.input_tokens": 0} == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "sensorium",
        "gen_ai.request.model": "central",
        "gen_ai.request.max_tokens": model.asked[-1].max_tokens,
        "gen_ai.request.temperature": 0.0,
        "gen_ai.output.type": "text",
        "gen_ai.response.model": model.identity,
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.response.time_to_first_chunk": 0.0,
        "gen_ai.usage.input_tokens": 0,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 0,
    }
    assert (said(choose)["gen_ai.output.type"], said(fill)["gen_ai.output.type"]) == ("text", "json")
    assert said(called) | {"sensorium.seconds": 0} == shared | {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "shout",
        "sensorium.node": "think",
        "sensorium.callee": "tool shout",
        "sensorium.seconds": 0,
        "sensorium.cached": False,
        "sensorium.bytes_in": 0,
        "sensorium.bytes_out": 0,
    }
    assert said(think) | {"sensorium.seconds": 0} == shared | {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": "helper",
        "sensorium.node": "think",
        "sensorium.callee": "agent helper",
        "sensorium.status": "done",
        "sensorium.seconds": 0,
        "sensorium.cached": False,
        "sensorium.stand_in": False,
        "sensorium.bytes_in": 0,
        "sensorium.bytes_out": 0,
        "sensorium.calls": 5,
        "sensorium.kept": 0,
    }
    assert said(run) == shared | {"sensorium.status": "done", "sensorium.seconds": result.seconds}


async def test_a_kept_reply_costs_no_tokens(
    project: Scratch, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    project.scripted("central", shouts)
    graph = project.graph(TALK)
    await graph.arun(request="Shout")
    await graph.arun(request="Shout", options=seen_by(provider))
    asks = [said(span) for span in exporter.get_finished_spans() if span.name == "chat central"]
    assert [ask["sensorium.cached"] for ask in asks] == [True] * 4
    assert not [name for ask in asks for name in ask if name.startswith("gen_ai.usage")]
    assert said(only(exporter, "think"))["sensorium.kept"] == 5


async def test_the_rung_of_a_latent_wire_stands_at_the_node_that_it_goes_into(
    project: Scratch, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    project.tool(
        "look",
        """
class Look:
    def setup(self, checkpoints, device): ...
    def run(self, batch): return [{"vector": np.zeros((1, 2), np.float32), "caption": "a bus"} for _ in batch]
    def close(self): ...
""",
        header="import numpy as np",
        inputs={"name": "text"},
        outputs={"vector": {"type": "latent(look.vector)", "twin": "caption"}, "caption": "text"},
    )
    project.agent("seer", inputs={"request": "text", "seen": "latent(look.vector)?"}, outputs={"answer": "text"})
    project.scripted("central", ["A bus."])
    await project.graph("""
        name: see
        inputs: {request: text}
        nodes:
          look: {tool: look, with: {name: $request}}
          think: {agent: seer, with: {request: $request, seen: $look.vector}}
        outputs: {answer: $think.answer}
    """).arun(request="What is it?", options=seen_by(provider))
    think = only(exporter, "think")
    assert (said(think)["sensorium.rung.seen"], said(think)["sensorium.bytes_in"]) == ("text", 8)
    assert [event.name for event in think.events] == ["crossed"]


@pytest.mark.parametrize("with_texts", [False, True])
async def test_texts_stay_out_of_spans_unless_they_are_asked_for(
    project: Scratch, provider: TracerProvider, exporter: InMemorySpanExporter, with_texts: bool
) -> None:
    project.scripted("central", shouts)
    graph = project.graph("""
        name: both
        inputs: {request: text}
        nodes:
          think: {agent: helper, with: {request: $request}}
          soft: {tool: shout, with: {text: $request}, else: {value: {text: "-"}}}
          softer: {tool: shout, with: {text: $request}}
        outputs: {answer: $think.answer, soft: $soft.text, softer: $softer.text}
    """)
    result = await graph.arun(request=f"whisper {SECRET}", options=seen_by(provider, with_texts=with_texts))
    assert SECRET in (result.error.message if result.error is not None else "")
    told = "".join(span.to_json() for span in exporter.get_finished_spans())
    assert (SECRET in told) is with_texts
    assert ("sensorium.prompt" in told) is with_texts


async def test_errors_stand_in_the_status_and_what_a_person_or_when_brought_about_does_not(
    project: Scratch, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    graph = project.graph("""
        name: mixed
        inputs: {text: text, wanted: flag}
        nodes:
          bad: {tool: shout, with: {text: $text}}
          saved: {tool: shout, with: {text: $text}, else: {value: {text: "-"}}}
          unwanted: {tool: shout, with: {text: $text}, when: $wanted}
          asks: {tool: shout, with: {text: "hello"}, approve: true}
        outputs: {bad: $bad.text, saved: $saved.text, unwanted: $unwanted.text, asks: $asks.text}
    """)
    result = await graph.arun(text="whisper", wanted=False, options=seen_by(provider))
    bad, saved, asks, run = (only(exporter, name) for name in ("bad", "saved", "asks", "run mixed"))
    assert (bad.status.status_code, bad.status.description, said(bad)["error.type"]) == (
        StatusCode.ERROR,
        "tool",
        "tool",
    )
    assert (saved.status.status_code, said(saved)["sensorium.stand_in"]) == (StatusCode.UNSET, True)
    assert (asks.status.status_code, said(asks)["sensorium.status"]) == (StatusCode.UNSET, "paused")
    assert (run.status.status_code, said(run)["error.type"], said(run)["sensorium.status"]) == (
        StatusCode.ERROR,
        "tool",
        result.status,
    )
    assert [(event.name, dict(event.attributes or {})) for event in run.events] == [
        ("skipped", {"sensorium.node": "unwanted"})
    ]


class Mute(ScriptedModel):
    """Never answers."""

    def __init__(self) -> None:
        super().__init__([])
        self.was_asked = asyncio.Event()

    async def ask(self, ask: Ask) -> AsyncGenerator[ModelEvent, None]:
        """Nothing, ever."""
        self.was_asked.set()
        await asyncio.Event().wait()
        yield Piece("")


async def test_a_cancelled_run_ends_every_span(
    project: Scratch, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    project.models["central"] = mute = Mute()
    running = asyncio.ensure_future(project.graph(TALK).arun(request="Hi", options=seen_by(provider)))
    await mute.was_asked.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert tree(exporter) == [("chat central", "think"), ("think", "run talk"), ("run talk", "")]
    assert {said(span)["error.type"] for span in exporter.get_finished_spans()} == {"cancelled"}
    assert {span.status.status_code for span in exporter.get_finished_spans()} == {StatusCode.UNSET}


def test_a_program_that_has_configured_nothing_gets_no_spans() -> None:
    assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
    assert spans_of_run() is None


EMBEDDING = """
import json, sys
from pathlib import Path
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sensorium.testing import Scratch

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)

project = Scratch(Path(sys.argv[1]))
project.agent("helper", inputs={"request": "text"}, outputs={"answer": "text"})
project.scripted("central", ["Hello."])
graph = project.graph('''
    name: talk
    inputs: {request: text}
    nodes: {think: {agent: helper, with: {request: $request}}}
    outputs: {answer: $think.answer}
''')
with trace.get_tracer("mine").start_as_current_span("mine"):
    graph.run(request="Hi")
names = {span.context.span_id: span.name for span in exporter.get_finished_spans()}
told = [(span.name, names.get(span.parent.span_id) if span.parent else None) for span in exporter.get_finished_spans()]
print(json.dumps(told))
"""


def test_an_embedding_program_finds_a_run_within_its_own_span(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", EMBEDDING, str(tmp_path)], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [
        ["chat central", "think"],
        ["think", "run talk"],
        ["run talk", "mine"],
        ["mine", None],
    ]


def test_a_tracer_provider_that_cannot_be_loaded_fails_no_run(tmp_path: Path) -> None:
    broken = EMBEDDING.replace("trace.set_tracer_provider(provider)\n", "")
    environment = os.environ | {"OTEL_PYTHON_TRACER_PROVIDER": "nobody"}
    done = subprocess.run(
        [sys.executable, "-c", broken.split("with trace")[0] + "print(graph.run(request='Hi').status)", str(tmp_path)],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.stdout == "done\n"
    assert "OpenTelemetry cannot watch the run; the run goes on" in done.stderr
