"""`sensorium measure`: what it refuses, the wires it finds, its tasks and figures; with weights it is in tests/box."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from sensorium.errors import OperatorError
from sensorium.evaluation.wire_figures import recovered
from sensorium.evaluation.wire_graph import LatentWire, latent_wires
from sensorium.evaluation.wire_numbers import (
    as_noise,
    is_bit_equal,
    kl_nats,
)
from sensorium.evaluation.wire_plot import draw, require_drawable
from sensorium.evaluation.wire_report import cards_json, cards_markdown
from sensorium.evaluation.wire_tasks import passages
from sensorium.latent.cards import Card, Controls, Interval
from sensorium.project import Project
from tests.conftest import Command

FILES = {
    "sensorium.yaml": """
        sensorium: 1
        name: desk
        profile: said
        profiles:
          said:
            models:
              central: {backend: scripted, replies: [yes]}
              quick: {backend: scripted, replies: [no]}
    """,
    "agents/scribe/agent.yaml": """
        name: scribe
        about: Reads.
        inputs: {request: text}
        outputs: {held: latent(lm.context)}
    """,
    "agents/scribe/prompt.md": "You read.",
    "agents/clerk/agent.yaml": """
        name: clerk
        about: Answers.
        model: quick
        inputs: {request: text, held: latent(lm.context)}
    """,
    "agents/clerk/prompt.md": "You answer.",
    "graphs/handing-on.yaml": """
        sensorium: 1
        name: handing-on
        inputs: {document: text, question: text}
        nodes:
          read: {agent: scribe, with: {request: $document}}
          answer: {agent: clerk, with: {request: $question, held: $read.held}}
        outputs: {answer: $answer.answer}
    """,
    "graphs/asking.yaml": """
        sensorium: 1
        name: asking
        inputs: {question: text, held: latent(lm.context)}
        nodes:
          answer: {agent: clerk, with: {request: $question, held: $held}}
        outputs: {answer: $answer.answer}
    """,
    "graphs/keeping.yaml": """
        sensorium: 1
        name: keeping
        inputs: {document: text}
        nodes:
          read: {agent: scribe, with: {request: $document}}
        outputs: {held: $read.held}
    """,
    "graphs/nested.yaml": """
        sensorium: 1
        name: nested
        inputs: {documents: "[text]", document: text, question: text}
        nodes:
          one: {graph: keeping, with: {document: $document}}
          many: {agent: scribe, each: $documents, as: page, with: {request: $page}}
          ask: {graph: asking, with: {question: $question, held: $one.held}}
          each_one: {agent: clerk, each: $many.held, as: read, with: {request: $question, held: $read}}
        outputs: {answer: $ask.answer, answers: $each_one.answer}
    """,
    "graphs/plain.yaml": """
        sensorium: 1
        name: plain
        inputs: {request: text}
        nodes: {say: {agent: assistant, with: {request: $request}}}
        outputs: {answer: $say.answer}
    """,
}


@pytest.fixture
def readers(tmp_path: Path, home: Path) -> Path:
    """A project in which agents hand on what they hold, and scripted models serve them."""
    folder = tmp_path / "readers"
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(line.removeprefix("        ") for line in text.strip("\n").splitlines()) + "\n")
    return folder


def wires(folder: Path, graph: str) -> list[LatentWire]:
    project = Project.find(folder)
    return latent_wires(project, project.graph(graph))


def test_the_latent_wires_between_agents_are_found_with_the_models_at_both_ends(readers: Path) -> None:
    assert wires(readers, "handing-on") == [LatentWire("read", "answer", "held", "central", "quick")]


def test_they_are_found_through_graphs_in_graphs_and_over_lists(readers: Path) -> None:
    assert wires(readers, "nested") == [
        LatentWire("one/read", "ask/answer", "held", "central", "quick"),
        LatentWire("many", "each_one", "held", "central", "quick"),
    ]


def test_a_graph_whose_models_give_no_latents_says_so(sensorium: Command, readers: Path) -> None:
    ended = sensorium("measure", "handing-on", "--project", readers)
    assert ended.code == 2
    assert "read to answer.held cannot be measured: role central" in ended.err
    assert "backend 'scripted'" in ended.err


SMALL = "smollm2-135m-transformers"
REFUSED: dict[str, tuple[list[str], int, str]] = {
    "nothing to measure": ([], 2, "give a graph, or two checkpoints"),
    "two things to measure": (["plain", "--models", SMALL, SMALL], 2, "and not both"),
    "a graph that is not there": (["handing"], 2, "there is no graph"),
    "a graph without latent wires": (["plain"], 2, "no latent wire between agents"),
    "a checkpoint that is not there": (["--models", "smollm", SMALL], 2, "there is no checkpoint 'smollm'"),
    "a checkpoint that was not pulled": (["--models", SMALL, SMALL], 5, "models pull"),
    "no sample": (["--models", SMALL, SMALL, "--samples", "0"], 2, "0 samples are asked for"),
    "more samples than there are": (["--models", SMALL, SMALL, "--samples", "999"], 2, "there are 30"),
    "a picture of no kind": (["plain", "--plot", "curve.jpg"], 2, "ends in .png or .svg"),
    "a picture in no folder": (["plain", "--plot", "/nowhere/curve.png"], 2, "in a folder that is there"),
    "a rung that is not there": (["handing-on", "--rungs", "kv,kw"], 2, "there is no rung 'kw' to measure"),
    "an element type for a graph": (["handing-on", "--dtype", "float32"], 2, "tells of --models alone"),
    "an element type that is not known": (["plain", "--dtype", "int7"], 2, "int7"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_measured_is_refused(sensorium: Command, readers: Path, what: str) -> None:
    arguments, code, told = REFUSED[what]
    ended = sensorium("measure", *arguments, "--project", readers)
    assert ended.code == code
    assert told in ended.err
    assert not ended.out


def test_the_help_tells_of_rungs_and_controls(sensorium: Command) -> None:
    ended = sensorium("measure", "--help")
    assert ended.code == 0
    assert "--rungs" in ended.out
    assert "--models" in ended.out


def test_every_answer_is_in_its_passage_and_every_passage_has_three_continuations() -> None:
    tasks = passages()
    assert len(tasks.passages) >= 24
    assert len({one.text for one in tasks.passages}) == len(tasks.passages)
    assert dict(tasks.tasks) == {"copy": (0,), "questions": (1, 2)}
    for passage in tasks.passages:
        copied, *asked = passage.continuations
        assert passage.text.startswith(copied.answer)
        for one in asked:
            assert one.is_right(passage.text), one
            assert one.is_right(one.answer), one
            assert not one.is_right(one.request), one


def test_a_key_word_counts_as_a_word_of_its_own() -> None:
    question = passages().passages[0].continuations[1]
    assert question.key == "7"
    assert question.is_right("It is at Pier 7.")
    assert not question.is_right("It is at pier 77.")


def test_noise_has_the_norms_of_what_it_stands_for() -> None:
    rng = np.random.default_rng(1)
    rows = rng.standard_normal((5, 16), dtype=np.float32) * np.arange(5, dtype=np.float32)[:, None]
    noise = as_noise(rows, rng)
    assert np.allclose(np.linalg.norm(noise, axis=-1), np.linalg.norm(rows, axis=-1), rtol=1e-4)
    assert abs(float((noise * rows).sum() / (rows * rows).sum())) < 0.5


def test_kl_is_nothing_between_equals_and_grows_with_what_differs() -> None:
    logits = np.random.default_rng(2).standard_normal((4, 50), dtype=np.float32)
    moved = logits.copy()
    moved[:, 0] += 1
    assert kl_nats(logits, logits) == 0.0
    assert kl_nats(logits, logits + 3) < 1e-6
    assert kl_nats(logits, moved) > 1e-3
    assert is_bit_equal(logits, logits.copy())
    assert not is_bit_equal(logits, np.nextafter(logits, np.float32(9)))


def test_recovered_is_1_for_the_text_and_0_without_a_message() -> None:
    rng = np.random.default_rng(3)
    none, text = rng.uniform(3, 5, (8, 3)), rng.uniform(0, 1, (8, 3))
    assert recovered(none, text, text) == Interval(1.0, 1.0, 1.0)
    assert recovered(none, text, none) == Interval(0.0, 0.0, 0.0)
    half = recovered(none, text, (none + text) / 2)
    assert half.mean == pytest.approx(0.5)
    noisy = recovered(none, text, text + rng.uniform(0, 1, (8, 3)))
    assert noisy.low < noisy.mean < noisy.high < 1


def card(rung: str, share: float, num_bytes: float, **changed: str) -> Card:
    return Card(
        rung=rung,
        sender="aa" * 32,
        receiver="aa" * 32,
        sender_name=changed.get("name", "small"),
        receiver_name=changed.get("name", "small"),
        sender_runtime="torch",
        receiver_runtime="torch",
        tasks="passages",
        tasks_digest="cc" * 32,
        num_samples=3,
        recovered=Interval(share, share - 0.1, share + 0.1),
        by_task={"copy": Interval(share, share, share)},
        kl=0.5,
        top1=0.75,
        bit_equal=0.0,
        divergence=4.0,
        score=0.5,
        text_score=1.0,
        bytes_per_token=num_bytes,
        milliseconds=30.0,
        controls=Controls(0.0, -0.05, -0.5),
        date="2026-11-30",
        machine="2 CPU cores",
    )


def test_json_has_the_figures_and_controls_of_each_rung_by_their_names() -> None:
    (told,) = cards_json([card("kv/int4", 0.98, 6120.0)])
    json.dumps(told, allow_nan=False)
    wanted = {"rung": "kv/int4", "recovered": 0.98, "kl": 0.5, "top1": 0.75, "bytes_per_token": 6120.0}
    assert wanted.items() <= told.items()
    assert (told["none"], told["shuffled"], told["noise"]) == (0.0, -0.05, -0.5)
    assert told["interval"] == pytest.approx([0.88, 1.08])


def test_the_table_has_a_line_for_each_rung() -> None:
    lines = cards_markdown([card("kv", 1.0, 23040.0), card("one-vector", 0.01, 12.0)]).splitlines()
    assert lines[0] == "small to small, 3 samples of passages, torch:"
    cells = [cell.strip() for cell in lines[4].strip("|").split("|")]
    assert cells[:5] == ["kv", "100.0", "90.0 to 110.0", "100.0", ""]
    assert cells[5:] == ["0.5000", "75.0", "0.0", "4.0", "0.50 (1.00)", "23,040", "30", "-5.0", "-50.0"]
    assert len(lines) == 6


@pytest.mark.parametrize(("name", "begins"), [("curve.png", b"\x89PNG"), ("curve.svg", b"<?xml")])
def test_cards_are_drawn(tmp_path: Path, name: str, begins: bytes) -> None:
    pytest.importorskip("matplotlib")
    shares = {"text": 1.0, "kv": 1.0, "kv/int4": 0.97, "kv/middle30": 0.2, "hidden": -1.5, "one-vector": 0.0}
    cards = [
        card(rung, share, 4.0 * 5**place, name=model)
        for model in ("small", "large", "other")
        for place, (rung, share) in enumerate(shares.items())
    ]
    draw(cards, tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(begins)


def test_where_matplotlib_is_missing_the_plot_says_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(OperatorError, match=r"pip install 'sensorium\[plot\]'"):
        require_drawable(Path("curve.png"))
