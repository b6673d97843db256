"""A run as OpenTelemetry spans: the run, each node within what it lies in, each ask and each call of an agent.

Made from the run's events. Texts stay out (prompts, replies, messages of errors, which quote them) unless
`OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT` is `true`. Source of the names that begin with `gen_ai`: the
OpenTelemetry semantic conventions, "Generative AI".
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer

import sensorium
from sensorium.events import (
    Event,
    Figures,
    ModelAsked,
    NodeFailed,
    NodeFinished,
    NodeSkipped,
    NodeStarted,
    PromptSent,
    RunFinished,
    RunStarted,
    ToolCalled,
    WireCrossed,
)

__all__ = ["Spans", "spans_of_run"]

_CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_INDEX = re.compile(r"\[\d+\]$")
_NO_FAULT = ("refused", "paused", "cancelled")
"""Kinds of ends that a person brought about."""


def spans_of_run() -> Spans | None:
    """Spans for one run, through the tracer provider that the program has configured; None where it has none."""
    provider = trace.get_tracer_provider()
    if isinstance(provider, trace.ProxyTracerProvider | trace.NoOpTracerProvider):
        return None
    tracer = provider.get_tracer("sensorium", sensorium.__version__)
    return Spans(tracer, with_texts=os.environ.get(_CAPTURE, "").lower() == "true")


class Spans:
    """An observer of one run's events. Its root span is a child of the span that is current where the run begins.

    Args:
        tracer: Makes the spans.
        with_texts: Whether spans hold prompts and messages of errors.
    """

    def __init__(self, tracer: Tracer, *, with_texts: bool = False) -> None:
        self._tracer = tracer
        self._with_texts = with_texts
        self._shared: dict[str, Any] = {}
        self._open: dict[str, Span] = {}
        """By path of the node, outer ones before inner ones; the run's is the empty path."""
        self._prompts: dict[str, str] = {}

    def see(self, event: Event) -> None:
        """Takes one event."""
        match event:
            case RunStarted(run, graph):
                self._shared = {"sensorium.run.id": run, "sensorium.graph": graph}
                self._open[""] = self._tracer.start_span(f"run {graph}", attributes=self._shared)
            case NodeStarted(node=node, callee=callee):
                self._begin(node, callee)
            case NodeSkipped(node=node, why=why):
                told = {"sensorium.node": node, **({"sensorium.why": why} if self._with_texts else {})}
                self._around(node).add_event("skipped", told)
            case WireCrossed(node=node, port=port, rung=rung, why=why, num_bytes=num_bytes):
                self._inner(node).set_attribute(f"sensorium.rung.{port}", rung)
                self._inner(node).add_event("crossed", {"port": port, "rung": rung, "why": why, "bytes": num_bytes})
            case PromptSent(node=node, prompt=prompt):
                self._prompts[node] = prompt
            case ModelAsked():
                self._asked(event)
            case ToolCalled(is_node=False):
                self._called(event)
            case NodeFinished():
                self._finished(event)
            case NodeFailed():
                self._failed(event)
            case RunFinished(status=status, seconds=seconds, kind=kind):
                self._end("", {"sensorium.status": status, "sensorium.seconds": seconds}, kind)
            case _:
                pass

    def _begin(self, node: str, callee: str, seconds: float = 0.0) -> None:
        """Opens the span of a node that began `seconds` ago; an earlier round or try of it is over."""
        self._close_within(node)
        kind, _, name = callee.partition(" ")
        agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": name} if kind == "agent" else {}
        self._open[node] = self._start(
            _INDEX.sub("", node).rpartition("/")[2],
            self._around(node),
            {"sensorium.node": node, "sensorium.callee": callee, **agent},
            seconds,
        )

    def _finished(self, event: NodeFinished) -> None:
        told = {
            "sensorium.status": "done",
            "sensorium.seconds": event.seconds,
            "sensorium.cached": event.cached,
            "sensorium.stand_in": bool(event.instead),
            **_told(event.figures),
        }
        self._end(event.node, told, "", event.instead)

    def _failed(self, event: NodeFailed) -> None:
        if event.node not in self._open:  # refused, or waiting for a person, before it could begin
            self._begin(event.node, event.callee, event.seconds)
        status = event.kind if event.kind in _NO_FAULT else "failed"
        told = {"sensorium.status": status, "sensorium.seconds": event.seconds, **_told(event.figures)}
        self._end(event.node, told, event.kind, event.message)

    def _asked(self, event: ModelAsked) -> None:
        prompt = self._prompts.pop(event.node, "")
        span = self._start(
            f"chat {event.model}", self._inner(event.node), dict(_ask(event)), event.seconds, SpanKind.CLIENT
        )
        if self._with_texts:
            span.set_attribute("sensorium.prompt", prompt)
        self._close(span, event.kind)

    def _called(self, event: ToolCalled) -> None:
        told = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": event.tool,
            "sensorium.node": event.node,
            "sensorium.callee": f"tool {event.tool}",
            "sensorium.seconds": event.seconds,
            "sensorium.cached": event.cached,
            "sensorium.bytes_in": event.bytes_in,
            "sensorium.bytes_out": event.bytes_out,
        }
        span = self._start(f"execute_tool {event.tool}", self._inner(event.node), told, event.seconds)
        self._close(span, event.kind, event.message)

    def _start(
        self, name: str, parent: Span, told: Mapping[str, Any], seconds: float, kind: SpanKind = SpanKind.INTERNAL
    ) -> Span:
        return self._tracer.start_span(
            name,
            trace.set_span_in_context(parent),
            kind,
            attributes={**self._shared, **told},
            start_time=time.time_ns() - int(seconds * 1e9),
        )

    def _end(self, node: str, told: Mapping[str, Any], kind: str, message: str = "") -> None:
        self._close_within(node, and_itself=False)
        span = self._open.pop(node)
        span.set_attributes(told)
        self._close(span, kind, message)

    def _close(self, span: Span, kind: str, message: str = "") -> None:
        if kind:
            span.set_attribute("error.type", kind)
        if message and self._with_texts:
            span.set_attribute("sensorium.message", message)
        if kind and kind not in _NO_FAULT:
            span.set_status(Status(StatusCode.ERROR, message if self._with_texts and message else kind))
        span.end()

    def _close_within(self, node: str, *, and_itself: bool = True) -> None:
        """Ends what was cut off: spans of a node that another round, a deadline or the run's end overtook."""
        inner = (f"{node}/", f"{node}[") if node else ("",)
        for path in [path for path in self._open if path.startswith(inner) and path != node]:
            self._close(self._open.pop(path), "cancelled")
        if and_itself and node in self._open:
            self._close(self._open.pop(node), "cancelled")

    def _inner(self, node: str) -> Span:
        """The span that the node itself has, or the nearest one around it."""
        return self._open[node] if node in self._open else self._around(node)

    def _around(self, node: str) -> Span:
        """The nearest open span that the node lies in."""
        while node:
            node = _INDEX.sub("", node) if _INDEX.search(node) else node.rpartition("/")[0]
            if node in self._open:
                return self._open[node]
        return self._open[""]


def _told(figures: Figures) -> dict[str, int]:
    return {
        "sensorium.bytes_in": figures.bytes_in,
        "sensorium.bytes_out": figures.bytes_out,
        "sensorium.calls": figures.calls,
        "sensorium.kept": figures.kept,
    }


def _ask(event: ModelAsked) -> Iterator[tuple[str, Any]]:
    """What a span says of an ask. Tokens stand for computation, so a kept reply has none."""
    yield "gen_ai.operation.name", "chat"
    yield "gen_ai.provider.name", "sensorium"
    yield "gen_ai.request.model", event.model
    yield "gen_ai.request.max_tokens", event.max_tokens
    yield "gen_ai.request.temperature", event.temperature
    if event.seed is not None:
        yield "gen_ai.request.seed", event.seed
    yield "gen_ai.output.type", "json" if event.is_json else "text"
    yield "sensorium.node", event.node
    yield "sensorium.callee", f"model {event.model}"
    yield "sensorium.seconds", event.seconds
    yield "sensorium.cached", event.cached
    if event.status == "failed":
        return
    yield "gen_ai.response.model", event.identity
    yield "gen_ai.response.finish_reasons", (event.finish,)
    if not event.cached:
        yield "gen_ai.usage.input_tokens", event.prompt_tokens
        yield "gen_ai.usage.output_tokens", event.answer_tokens
        yield "gen_ai.usage.cache_read.input_tokens", event.reused_tokens
        yield "gen_ai.response.time_to_first_chunk", event.first_token_s
