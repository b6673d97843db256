"""What the command line tells of a run: a table of figures, and spans to whoever the environment names."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from sensorium.cli.figures import print_figures
from sensorium.cli.prompts import ShownPrompts
from sensorium.cli.watch import Watcher
from sensorium.events import Figures, HistoryTrimmed, NodeProgress, PromptSent, RunId
from sensorium.graph import Crossed, ErrorReport, NodeReport, Result
from tests.conftest import STRANGER, Command

RUN = ("run", "open-shop", "wish=a bakery", "slogans=so good", "--project", str(STRANGER))


class Collector:
    """An OTLP receiver on this machine; `requests` are what was sent, decoded."""

    def __init__(self, status: int = 200) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        self.paths: list[str] = []
        outer = self

        class Receiver(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.paths.append(self.path)
                outer.requests.append(ExportTraceServiceRequest.FromString(body))
                self.send_response(status)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - likewise
                """Stays silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        """Ends."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def spans(self) -> list[Span]:
        """Every span that was sent."""
        return [
            span for request in self.requests for of in request.resource_spans for scope in of.scope_spans
            for span in scope.spans
        ]  # fmt: skip

    @property
    def resource(self) -> dict[str, Any]:
        """Whom the spans are of."""
        return said(self.requests[0].resource_spans[0].resource.attributes)


@pytest.fixture
def collector() -> Generator[Collector]:
    made = Collector()
    yield made
    made.close()


def said(attributes: Any) -> dict[str, Any]:
    pairs: list[KeyValue] = list(attributes)
    return {pair.key: _plain(pair.value) for pair in pairs}


def _plain(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    return [_plain(one) for one in value.array_value.values] if kind == "array_value" else getattr(value, str(kind))


def command(home: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own, since spans have one provider for a whole process."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    environment = plain | {"SENSORIUM_HOME": str(home), "SENSORIUM_KEEP_WARM_S": "0", "NO_PROXY": "127.0.0.1"}
    return subprocess.run(
        [sys.executable, "-m", "sensorium", *arguments],
        env=environment | variables,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_collector_gets_the_spans_of_a_run(collector: Collector, home: Path, elsewhere: Path) -> None:
    ended = command(home, *RUN, "--json", OTEL_EXPORTER_OTLP_ENDPOINT=collector.address)
    told = json.loads(ended.stdout)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert collector.resource["service.name"] == "sensorium"
    assert set(collector.paths) == {"/v1/traces"}
    names = {span.span_id: span.name for span in collector.spans}
    assert sorted((span.name, names.get(span.parent_span_id, "")) for span in collector.spans) == [
        ("again", "again"),
        ("again", "run open-shop"),
        ("chat central", "name"),
        ("name", "run open-shop"),
        ("run open-shop", ""),
        ("sign", "run open-shop"),
    ]
    assert {said(span.attributes)["sensorium.run.id"] for span in collector.spans} == {told["run"]}
    (ask,) = [said(span.attributes) for span in collector.spans if span.name == "chat central"]
    assert (ask["gen_ai.operation.name"], ask["gen_ai.response.finish_reasons"]) == ("chat", ["stop"])
    assert "bakery" not in "".join(str(request) for request in collector.requests)


def test_names_that_the_environment_gives_are_those_of_the_spans(
    collector: Collector, home: Path, elsewhere: Path
) -> None:
    traces = f"{collector.address}/mine"
    command(home, *RUN, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=traces, OTEL_SERVICE_NAME="shop")
    assert (collector.resource["service.name"], set(collector.paths)) == ("shop", {"/mine"})


def test_each_turn_of_a_conversation_is_a_trace(collector: Collector, home: Path, elsewhere: Path) -> None:
    talk = elsewhere / "talk.yaml"
    talk.write_text(
        "sensorium: 1\nname: talk\ninputs: {request: text}\nnodes:\n"
        "  think: {agent: namer, with: {request: $request}}\noutputs: {answer: $think.answer}\n"
    )
    arguments = ("chat", "--graph", str(talk), "--message", "a bakery", "--project", str(STRANGER))
    assert command(home, *arguments, OTEL_EXPORTER_OTLP_ENDPOINT=collector.address).returncode == 0
    assert [span.name for span in collector.spans if not span.parent_span_id] == ["run talk"]


@pytest.mark.parametrize("off", [{"OTEL_SDK_DISABLED": "true"}, {"OTEL_TRACES_EXPORTER": "none"}])
def test_spans_are_not_sent_where_they_are_turned_off(
    collector: Collector, home: Path, elsewhere: Path, off: dict[str, str]
) -> None:
    ended = command(home, *RUN, "--quiet", OTEL_EXPORTER_OTLP_ENDPOINT=collector.address, **off)
    assert (ended.returncode, ended.stderr, collector.requests) == (0, "", [])


def test_spans_on_the_console_are_talk(home: Path, elsewhere: Path) -> None:
    ended = command(home, *RUN, "--json", OTEL_TRACES_EXPORTER="console")
    assert json.loads(ended.stdout)["status"] == "done"
    assert '"name": "run open-shop"' in ended.stderr


DEAD = "sensorium: OTEL_EXPORTER_OTLP_ENDPOINT is set, and not all spans were taken where it points to\n"


def test_an_endpoint_where_nobody_is_fails_nothing_and_is_told_once(home: Path, elsewhere: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as place:
        address = f"http://127.0.0.1:{place.getsockname()[1]}"
    ended = command(home, *RUN, "--quiet", OTEL_EXPORTER_OTLP_ENDPOINT=address)
    assert (ended.returncode, ended.stderr) == (0, DEAD)


def test_an_endpoint_that_never_answers_does_not_hold_the_run_up(home: Path, elsewhere: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as place:
        address = f"http://127.0.0.1:{place.getsockname()[1]}"
        patient = {"OTEL_EXPORTER_OTLP_TIMEOUT": "3600"}
        ended = command(home, *RUN, "--quiet", OTEL_EXPORTER_OTLP_ENDPOINT=address, **patient)
    assert (ended.returncode, ended.stderr) == (0, DEAD)


def test_an_endpoint_that_refuses_spans_is_told(home: Path, elsewhere: Path) -> None:
    collector = Collector(403)
    ended = command(home, *RUN, "--quiet", OTEL_EXPORTER_OTLP_ENDPOINT=collector.address)
    collector.close()
    assert (ended.returncode, ended.stderr) == (0, DEAD)


def test_an_exporter_that_is_not_there_is_named(home: Path, elsewhere: Path) -> None:
    ended = command(home, *RUN, "--quiet", OTEL_TRACES_EXPORTER="zipkin")
    assert ended.returncode == 0
    assert "no exporter 'zipkin' is installed; otlp (over http/protobuf) and console are there" in ended.stderr


def test_what_sends_spans_is_named_with_the_command_that_installs_it(home: Path, elsewhere: Path) -> None:
    hidden = elsewhere / "opentelemetry"
    hidden.mkdir()
    (hidden / "__init__.py").write_text("raise ImportError('not here')\n")
    path = os.pathsep.join([str(elsewhere), os.environ.get("PYTHONPATH", "")])
    ended = command(home, *RUN, "--quiet", OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9", PYTHONPATH=path)
    assert ended.returncode == 0
    assert ended.stderr == (
        "sensorium: OTEL_EXPORTER_OTLP_ENDPOINT is set, and what sends spans is not installed; install it with: "
        "pip install 'sensorium[otel]'\n"
    )


def test_a_trace_ends_with_a_table_on_standard_error(
    sensorium: Command, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    sensorium(*RUN)
    ended = sensorium("run", "open-shop", "wish=a bakery", "--project", STRANGER, "--trace", "--json")
    assert json.loads(ended.out)["status"] == "done"
    head, *lines = ended.err[ended.err.index("node ") :].splitlines()
    assert head.split() == ["node", "what", "status", "seconds", "calls", "(kept)", "bytes", "in", "→", "out"]
    cells = [line.split() for line in lines]
    assert [(row[:4], row[5:]) for row in cells[:2]] == [
        (["name", "agent", "namer", "done"], ["1", "(1)"]),
        (["sign", "tool", "count-words", "done"], ["1", "(1)"]),
    ]
    assert cells[2:4] == [["again", "tool", "count-words", "skipped"], ["$slogans", "brings", "no", "list"]]
    assert (cells[4][:3], cells[4][4:]) == (["run", "open-shop", "done"], ["2", "(2)"])
    assert not [line for line in lines if len(line) > 80]


def test_the_table_fits_names_and_notes_of_any_length_into_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    name = "describe-the-picture-in-a-few-words-and-say-why"
    error = ErrorReport("tool", "数不出来这段文字" * 12, name)
    nodes = (
        NodeReport(name, "tool", "a-tool-with-a-name-that-is-long", "failed", 123.4, False, error=error,
                   figures=Figures(123_456_789, 999_600, 1000, 999)),
        NodeReport("say", "agent", "assistant", "done", 0.004, False, "it was mute", crossed={
            "picture": Crossed("text"), "memory": Crossed("recipe", "kv: its sender died", 5200)}),
    )  # fmt: skip
    print_figures(Result(RunId("r1"), "demo", "failed", {}, {}, nodes, 123.5, error))
    lines = capsys.readouterr().err.splitlines()
    assert max(_width(line) for line in lines) <= 80
    assert "".join(line.split(" ")[0] for line in lines[1:5] if not line.startswith(" ")) == name
    assert "1000 (999)  123 MB → 1.0 MB" in lines[1]
    assert "    its stand-in answered: it was mute" in [line.rstrip() for line in lines]
    assert "    picture crossed by the rung text" in [line.rstrip() for line in lines]
    told = "    memory crossed by the rung recipe, 5.2 kB: kv: its sender died"
    assert told in [line.rstrip() for line in lines]


def _width(line: str) -> int:
    return sum(2 if character > "\u2e80" else 1 for character in line.rstrip())


def test_prompts_can_be_put_together_again_to_the_character_from_what_is_shown() -> None:
    examples = "".join(f"user: example [{number}]\nassistant: see\n" for number in range(30))
    prompts = [
        f"Choose.\n{examples}What is this?",
        f"Choose.\n{examples}What is this?\n(done: see)",
        "Answer.\nWhat is this?",
        f"Choose.\n{examples}What is this?\n(done: see)",
        f"Choose.\n{examples[:-1]}!",
    ]
    shown, again, told_chars = ShownPrompts(), list[str](), 0
    for number, prompt in enumerate(prompts, 1):
        heading, told, rest = shown.lines("think", "central", prompt)
        assert heading == f"--- prompt {number}: think sends to central"
        told_chars += len(told) + len(rest)
        match = re.fullmatch(r"\(the same ([\d,]+) characters that prompt (\d+) begins with, then:\)", told)
        before = "" if match is None else again[int(match[2]) - 1][: int(match[1].replace(",", ""))]
        again.append(before + rest)
    assert again == prompts
    assert told_chars < len(prompts[0]) + 500


def test_a_prompt_that_begins_as_another_is_shown_from_where_it_differs(capsys: pytest.CaptureFixture[str]) -> None:
    long = "You help.\n" * 40
    with Watcher(trace=True) as watcher:
        for request in ("first?", "second?"):
            watcher.see(PromptSent(RunId("r"), "think", "central", f"{long}{request}"))
    told = capsys.readouterr().err
    assert told.count("You help.") == 40
    assert (
        "prompt 2: think sends to central\n(the same 400 characters that prompt 1 begins with, then:)\nsecond?" in told
    )


def test_what_is_left_out_of_prompts_is_told_once_in_a_turn_and_again_where_it_is_more(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Watcher(calls_only=True) as watcher:
        for left_out in (1, 1, 4):
            watcher.see(HistoryTrimmed(RunId("r"), "think", left_out, "an answer takes 6,000 characters"))
    assert capsys.readouterr().err == (
        "! 1 earlier message is left out: an answer takes 6,000 characters\n"
        "! 4 earlier messages are left out: an answer takes 6,000 characters\n"
    )


@pytest.mark.parametrize("quiet", [True, False])
def test_what_is_loaded_is_told_where_no_line_moves(capsys: pytest.CaptureFixture[str], quiet: bool) -> None:
    with Watcher(quiet=quiet, calls_only=True) as watcher:
        for note in ("loading llamacpp: qwen, 491 MB", ""):
            watcher.see(NodeProgress(RunId("r"), "think", 0.0, note, is_loading=True))
    assert capsys.readouterr().err == ("" if quiet else "  think waits: loading llamacpp: qwen, 491 MB\n")
