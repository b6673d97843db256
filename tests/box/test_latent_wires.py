"""Latent wires between agents, with a real language model at both ends."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from sensorium.checkpoint import Checkpoints
from sensorium.errors import ModelError, OperatorError
from sensorium.events import Event, WireCrossed
from sensorium.graph import RunOptions
from sensorium.host import WorkerHost
from sensorium.latent.bridge import Bridge, BridgeSpec, measured_of, read_bridge
from sensorium.latent.bridge_weights import write_weights
from sensorium.latent.cards import Card, Controls, Interval
from sensorium.latent.frame import FrameHead, Tensor, open_frame, seal
from sensorium.latent.kv_files import find_tables
from sensorium.latent.recipe import head_positions, num_positions
from sensorium.latent.sealing import Sealer
from sensorium.model import TransformersModel, open_model
from sensorium.parts import Latent
from sensorium.project import Project
from sensorium.project.folders import box_folder, home_folder
from sensorium.spec.projectfile import ModelSetting
from sensorium.testing import Scratch

pytestmark = pytest.mark.models

NAME = "smollm2-135m-transformers"
KV_TOKEN_BYTES = 46_080
"""In 32 bits, in which a CPU without instructions for bfloat16 reads much faster."""
DOCUMENT = (
    "The lighthouse at Cape Wren was built in 1874 by a family of masons from Tarrow. Its lamp burned whale oil until "
    "1911, when the keeper, Aldous Finch, had a gas burner put in against the wish of the harbour board. In the winter "
    "of 1923 a storm took the lower gallery and two of the four boats. Nobody was hurt."
)
GRAPH = """
    name: two-readers
    inputs: {document: text}
    nodes:
      read: {agent: reader, with: {document: $document}}
      who:  {agent: answerer, with: {memory: $read.memory, question: "Who was the keeper?"}, wire: {memory: TERMS}}
      when: {agent: answerer, with: {memory: $read.memory, question: "When was it built?"}, wire: {memory: TERMS}}
    outputs: {memory: $read.memory, who: $who.answer, when: $when.answer}
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all tests here, so that the model stays warm between them; each run is made afresh."""
    return tmp_path_factory.mktemp("wires")


@pytest.fixture
async def scratch(home: Path) -> AsyncIterator[Scratch]:
    scratch = Scratch(home)
    scratch.models["central"] = model = opened(scratch, TransformersModel)
    scratch.agent("reader", inputs={"document": "text"}, outputs={"memory": "latent(lm.context)"})
    scratch.agent(
        "answerer",
        prompt="You have read the text above. Answer the question from it.",
        inputs={"memory": "latent(lm.context)", "question": "text"},
        outputs={"answer": "text"},
        limits={"answer_tokens": 20},
    )
    yield scratch
    await model.host.close()
    await scratch.close()


def opened(scratch: Scratch, kind: type[TransformersModel]) -> TransformersModel:
    checkpoints = Checkpoints(home_folder(), Project(None).manifests)
    try:
        directory, digest = checkpoints.directory(NAME), checkpoints.digest(NAME)
    except OperatorError as error:
        pytest.skip(str(error))
    model = open_model(
        "central",
        ModelSetting(checkpoint=NAME, backend="transformers", dtype="float32", context_tokens=2048),
        checkpoint=directory,
        digest=digest,
        host=WorkerHost(scratch.home, scratch.store),
        keep_warm_s=60,
        sealer=Sealer(scratch.store, scratch.home),
    )
    assert isinstance(model, TransformersModel)
    return kind(model.binding, model.template, model.host, model.sealer)


async def run(scratch: Scratch, terms: str = "{}") -> tuple[dict[str, str], list[WireCrossed], Latent]:
    """The answers, how the latents crossed, and what the reader held."""
    events: list[Event] = []
    graph = scratch.graph(GRAPH.replace("TERMS", terms))
    result = await graph.arun(document=DOCUMENT, options=RunOptions(fresh=True, on_event=events.append))
    memory = result["memory"]
    assert isinstance(memory, Latent)
    crossed = sorted((event for event in events if isinstance(event, WireCrossed)), key=lambda event: event.node)
    return {port: str(result[port]) for port in ("who", "when")}, crossed, memory


async def test_every_lossless_rung_gives_the_very_answers_that_the_text_gives(scratch: Scratch) -> None:
    told, crossed, memory = await run(scratch)
    assert "Aldous Finch" in told["who"]
    assert "1874" in told["when"]
    assert [(event.rung, event.why) for event in crossed] == [("kv", ""), ("kv", "")]
    assert crossed[0].num_bytes > KV_TOKEN_BYTES * num_positions(memory.load())
    assert memory.twin == DOCUMENT
    for rung, better in (("recipe", "kv"), ("embeds", "kv, recipe"), ("text", "kv, recipe, embeds")):
        again, crossed, _ = await run(scratch, f"{{rungs: [{rung}]}}")
        assert again == told
        assert [event.rung for event in crossed] == [rung, rung]
        assert crossed[0].why == f"{better}: the wire allows {rung}"


async def test_a_wire_that_takes_few_bytes_gets_the_recipe(scratch: Scratch) -> None:
    _, crossed, memory = await run(scratch, "{max_bytes: 2000}")
    assert [event.rung for event in crossed] == ["recipe", "recipe"]
    assert "kv: " in crossed[0].why
    assert "the wire takes 2,000" in crossed[0].why
    assert 4 * num_positions(memory.load()) < crossed[0].num_bytes < 2000


async def test_what_loses_something_wants_a_card_of_these_very_ends(scratch: Scratch) -> None:
    model = scratch.models["central"]
    assert isinstance(model, TransformersModel)
    weights = (await model.end()).weights
    terms = "{rungs: [kv/int8, text]}"
    told, crossed, _ = await run(scratch, terms)
    assert [event.rung for event in crossed] == ["text", "text"]
    assert "kv/int8: no card of kv/int8 holds for these two ends" in crossed[0].why
    scratch.cards.write(card(weights, "0" * 64, 1.0))
    assert [event.rung for event in (await run(scratch, terms))[1]] == ["text", "text"]
    scratch.cards.write(card(weights, weights, 0.85))
    _, crossed, _ = await run(scratch, terms)
    assert "kv/int8: the card of kv/int8 shows 85%, and the wire wants 90%" in crossed[0].why
    answers, crossed, memory = await run(scratch, "{rungs: [kv/int8, text], at_least: 0.8}")
    assert [event.rung for event in crossed] == ["kv/int8", "kv/int8"]
    assert crossed[0].num_bytes < 0.4 * KV_TOKEN_BYTES * num_positions(memory.load())
    assert "Aldous Finch" in answers["who"]
    assert "1874" in answers["when"]
    assert told["when"] == answers["when"]


def card(sender: str, receiver: str, low: float, codec: str = "int8") -> Card:
    """What `sensorium measure` would write of keys and values by a codec."""
    shown = Interval(1.0, low, 1.0)
    return Card(
        rung=f"kv/{codec}",
        by=codec,
        sender=sender,
        receiver=receiver,
        sender_runtime="",
        receiver_runtime="",
        tasks="test",
        tasks_digest="0" * 64,
        num_samples=2,
        recovered=shown,
        kl=0.0,
        top1=1.0,
        bit_equal=0.0,
        divergence=16.0,
        score=1.0,
        text_score=1.0,
        bytes_per_token=12_000.0,
        milliseconds=1.0,
        controls=Controls(0.0, 0.0, 0.0),
        date="2026-11-30",
        machine="test",
    )


async def test_a_codec_that_learned_from_these_weights_says_the_same_in_a_sixteenth_of_the_bytes(
    scratch: Scratch,
) -> None:
    model = scratch.models["central"]
    assert isinstance(model, TransformersModel)
    weights = (await model.end()).weights
    scratch.cards.write(card(weights, weights, 0.99, "klt2"))
    tables = find_tables([box_folder() / "codecs" / NAME], weights)
    assert tables is not None
    scratch.tables[weights] = tables
    answers, crossed, memory = await run(scratch, "{rungs: [kv/klt2, text]}")
    assert [event.rung for event in crossed] == ["kv/klt2", "kv/klt2"]
    assert crossed[0].num_bytes < KV_TOKEN_BYTES / 15 * num_positions(memory.load())
    assert "Aldous Finch" in answers["who"]
    assert "1874" in answers["when"]


async def test_thoughts_cross_and_what_is_taken_over_can_be_handed_on(scratch: Scratch) -> None:
    scratch.agent(
        "thinker",
        prompt="Think about it.",
        inputs={"notes": "text", "thoughts": "latent(lm.context)?"},
        outputs={"thoughts": "latent(lm.context)"},
        limits={"thoughts": 5},
    )
    answers: list[str] = []
    for rung in ("kv", "recipe", "embeds"):
        events: list[Event] = []
        result = await scratch.graph(f"""
            name: think-{rung}
            inputs: {{first: text, second: text}}
            nodes:
              begin: {{agent: thinker, with: {{notes: $first}}}}
              go-on:
                agent: thinker
                with: {{notes: $second, thoughts: $begin.thoughts}}
                wire: {{thoughts: {{rungs: [{rung}]}}}}
              say:
                agent: answerer
                with: {{memory: $go-on.thoughts, question: "Where is the bicycle?"}}
                wire: {{memory: {{rungs: [{rung}]}}}}
            outputs: {{answer: $say.answer, thoughts: $go-on.thoughts}}
        """).arun(
            first="The bicycle is red.",
            second="It stands in the shed.",
            options=RunOptions(fresh=True, on_event=events.append),
        )
        thoughts = result["thoughts"]
        assert isinstance(thoughts, Latent)
        assert int((thoughts.load() == -1).sum()) == 10
        assert thoughts.twin == "The bicycle is red.\n\nIt stands in the shed."
        assert [event.rung for event in events if isinstance(event, WireCrossed)] == [rung, rung]
        answers.append(str(result["answer"]))
    assert answers[0]
    assert answers == answers[:1] * 3


class Forger(TransformersModel):
    """Gives keys and values that it never computed, sealed with a key of its own or holding what it likes."""

    mode = ""

    async def give(self, context: Latent, space: str) -> Latent:
        given = await super().give(context, space)
        data = given.blob.read()
        frame = open_frame(data, self.sealer.key)
        tensor = Tensor(frame.tensors["latent"], frame.dtypes["latent"])
        head: FrameHead = frame.head
        match self.mode:
            case "key":
                forged = seal(head, {"latent": tensor}, bytes(32))
            case "weights":
                forged = seal(msgspec.structs.replace(head, weights="0" * 64), {"latent": tensor}, self.sealer.key)
            case "shape":
                forged = seal(head, {"latent": Tensor(tensor.array[:-1], tensor.dtype)}, self.sealer.key)
            case "half":
                forged = data[: len(data) // 2]
            case _:
                raise ModelError("the sender went away in mid-transfer")
        return msgspec.structs.replace(given, blob=self.sealer.store.put(forged, given.blob.media_type))


@pytest.mark.parametrize(
    ("mode", "why"),
    [
        ("key", "kv: tool transformers: "),
        ("weights", "what one model holds means nothing to another"),
        ("shape", "the keys and values are"),
        ("half", "kv: tool transformers: "),
        ("death", "kv: the sender went away in mid-transfer"),
    ],
)
async def test_a_frame_that_does_not_hold_leaves_the_wire_to_the_recipe(scratch: Scratch, mode: str, why: str) -> None:
    told, _, _ = await run(scratch, "{rungs: [text]}")
    await scratch.models["central"].close()
    scratch.models["central"] = forger = opened(scratch, Forger)
    assert isinstance(forger, Forger)
    forger.mode = mode
    answers, crossed, _ = await run(scratch)
    assert answers == told
    taken = {event.node: event for event in crossed}  # the last word on each
    assert [event.rung for event in taken.values()] == ["recipe", "recipe"]
    assert why in taken["who"].why
    await forger.host.close()


async def test_a_model_that_takes_text_alone_is_told_the_text(scratch: Scratch) -> None:
    scripted = scratch.scripted("other", lambda ask: ask.messages[-1].content[:4])
    scratch.agent(
        "listener",
        model="other",
        inputs={"memory": "latent(lm.context)", "question": "text"},
        outputs={"answer": "text"},
    )
    events: list[Event] = []
    await scratch.graph("""
        name: told
        inputs: {document: text}
        nodes:
          read: {agent: reader, with: {document: $document}}
          say: {agent: listener, with: {memory: $read.memory, question: "Who was the keeper?"}}
        outputs: {answer: $say.answer}
    """).arun(document=DOCUMENT, options=RunOptions(fresh=True, on_event=events.append))
    assert DOCUMENT in scripted.asked[0].messages[-1].content
    (crossed,) = (event for event in events if isinstance(event, WireCrossed))
    assert (crossed.rung, crossed.why) == ("text", "kv, recipe, embeds: its reader takes text alone")


def silent(folder: Path, weights: str) -> Bridge:
    """A bridge from a model to itself that has a card and never hears a token."""
    folder = folder / "silent"
    folder.mkdir(exist_ok=True)
    end = {"model": "smollm2-135m", "weights": weights, "width": 576}
    told: dict[str, Any] = {
        "sensorium": 1,
        "name": "silent",
        "about": "Hears nothing.",
        "from": {**end, "tap": "hidden[4]"},
        "to": end,
        "gate": {"context": 1, "hidden": 1, "slots": 1, "reach": 0, "likely": 0.5, "apart": 1},
        "hidden": 1,
        "skip": False,
        "licences": ["CC0-1.0"],
        "training": {
            "texts": ["none"], "positions": 0, "steps": 0, "cpu_minutes": 0, "seed": 0, "stages": ["none"],
        },
    }  # fmt: skip
    shapes = BridgeSpec.model_validate({**told, "parameters": 1, "sha256": "0" * 64}).shapes
    arrays = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    arrays |= {"deviation": np.ones(576, np.float32), "gate.out.bias": np.full(2, -20, np.float32)}
    told["parameters"] = sum(array.size for array in arrays.values())
    told["sha256"] = write_weights(folder / "weights.safetensors", arrays)
    (folder / "bridge.yaml").write_text(json.dumps(told))
    share = {"nll": 1, "interval": [0.9, 1]}
    task = dict.fromkeys(("bridge", "text", "none", "nearest", "shuffled", "noise"), share)
    of = msgspec.to_builtins(measured_of(read_bridge(folder).spec))
    (folder / "card.json").write_text(json.dumps({"of": of, "tasks": {"repeat": task}}))
    return read_bridge(folder)


async def test_a_bridge_that_hears_nothing_leaves_the_wire_to_the_text(scratch: Scratch, tmp_path: Path) -> None:
    model = scratch.models["central"]
    assert isinstance(model, TransformersModel)
    scratch.bridges = (silent(tmp_path, (await model.end()).weights),)
    told, crossed, _ = await run(scratch, "{rungs: [bridge, text]}")
    assert [event.rung for event in crossed] == ["text", "text"]
    assert "bridge: bridge silent heard no token in" in crossed[0].why
    assert "Aldous Finch" in told["who"]


async def test_a_soft_prompt_crosses_in_half_the_positions(scratch: Scratch) -> None:
    scratch.bridges = (read_bridge(box_folder() / "bridges" / "smollm2-135m-in-half"),)
    _, crossed, memory = await run(scratch, "{rungs: [bridge, text], at_least: 0.5}")
    assert [event.rung for event in crossed] == ["bridge", "bridge"]
    rows = -(-(num_positions(memory.load()) - head_positions(memory.load())) // 2)
    assert 4 * 576 * rows < crossed[0].num_bytes < 4 * 576 * rows + 1024
    assert crossed[0].why.startswith("kv, recipe, embeds")
    assert crossed[0].why.endswith(": the wire allows bridge, text")
