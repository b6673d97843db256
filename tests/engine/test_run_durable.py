"""What is never computed twice, what survives a kill, and when a node begins."""

from __future__ import annotations

import asyncio
import importlib
import re
import sqlite3
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import ormsgpack
import pytest
import pytest_asyncio

from sensorium.database import open_database
from sensorium.errors import CallerError, OperatorError
from sensorium.events import Event, NodeFinished, NodeStarted, RunId
from sensorium.graph import Graph, RunOptions
from sensorium.parts import Image, Number, Text
from sensorium.testing import Scratch
from tests.engine.chain import NUM_STEPS, completed_calls, run_child, start_child, write_chain
from tests.engine.door import Door, door

__all__ = ["door"]

Inputs = dict[str, Any]
Outputs = dict[str, Any]
LOG = ""
DOOR = ""


@pytest_asyncio.fixture
async def project(tmp_path: Path) -> AsyncGenerator[Scratch]:
    made = Scratch(tmp_path)
    yield made
    await made.close()


class Shout:
    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[Inputs]) -> list[Outputs]:
        with open(LOG, "a") as log:
            log.writelines(f"{call['text']}\n" for call in batch)
        return [{"text": call["text"].upper()} for call in batch]

    def close(self) -> None: ...


def shouting(project: Scratch, **declared: Any) -> Graph:
    header = f"LOG = {str(project.home / 'calls.log')!r}"
    project.tool("shout", Shout, inputs={"text": "text"}, outputs={"text": "text"}, header=header, **declared)
    return project.graph("""
        name: loud
        inputs: {words: text}
        nodes: {shout: {tool: shout, with: {text: $words}}}
        outputs: {loud: $shout.text}
    """)


def calls(project: Scratch) -> list[str]:
    log = project.home / "calls.log"
    return log.read_text().split() if log.exists() else []


async def test_an_equal_call_of_another_run_finds_the_result(project: Scratch) -> None:
    graph = shouting(project)
    first = await graph.arun(words="hey")
    second = await graph.arun(words="hey")
    assert (first.loud, first.nodes[0].cached) == (Text("HEY"), False)
    assert (second.loud, second.nodes[0].cached) == (Text("HEY"), True)
    assert calls(project) == ["hey"]


async def test_an_edited_tool_is_another_tool(project: Scratch) -> None:
    await shouting(project).arun(words="hey")
    folder = project.tools["shout"].folder
    source = (folder / "worker.py").read_text()
    project.tool("shout", source.replace(".upper()", ".title()"), inputs={"text": "text"}, outputs={"text": "text"})
    graph = project.graph("""
        name: loud
        inputs: {words: text}
        nodes: {shout: {tool: shout, with: {text: $words}}}
        outputs: {loud: $shout.text}
    """)
    assert (await graph.arun(words="hey")).loud == Text("Hey")
    assert calls(project) == ["hey", "hey"]


async def test_a_seed_a_fresh_run_and_other_inputs_are_calls_of_their_own(project: Scratch) -> None:
    graph = shouting(project)
    for words, options in (
        ("hey", RunOptions()),
        ("hey", RunOptions(seed=1)),
        ("hey", RunOptions(fresh=True)),
        ("ho", RunOptions()),
        ("hey", RunOptions(seed=1)),
    ):
        await graph.arun(words=words, options=options)
    assert calls(project) == ["hey", "hey", "hey", "ho"]


class Keyed:
    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[Inputs]) -> list[Outputs]:
        return [{"text": f"{call['text']} {call.get('idempotency_key')}"} for call in batch]

    def close(self) -> None: ...


@pytest.mark.parametrize("host", ["inline", pytest.param("worker", marks=pytest.mark.slow)])
async def test_a_tool_with_effects_knows_a_call_again(tmp_path: Path, host: Literal["inline", "worker"]) -> None:
    project = Scratch(tmp_path, host=host)
    for name, effects in (("keyed", True), ("plain", False)):
        project.tool(name, Keyed, inputs={"text": "text"}, outputs={"text": "text"}, effects=effects)
    graph = project.graph("""
        name: keys
        inputs: {words: text}
        nodes:
          one: {tool: keyed, with: {text: $words}}
          two: {tool: keyed, with: {text: $words}}
          plain: {tool: plain, with: {text: $words}}
        outputs: {one: $one.text, two: $two.text, plain: $plain.text}
    """)
    first = await graph.arun(words="hey")
    assert first.plain == Text("hey None")
    assert re.fullmatch("hey [0-9a-f]{64}", first.one.value)
    assert first.two != first.one
    project.database.execute("DELETE FROM sensorium_results WHERE node = ?", ("one",))
    assert (await graph.arun(words="hey", options=RunOptions(run=first.run))).one == first.one
    assert (await graph.arun(words="hey")).one != first.one
    await project.close()


async def test_tools_with_effects_and_nodes_without_cache_are_called_in_every_run(project: Scratch) -> None:
    acting = shouting(project, effects=True)
    await acting.arun(words="hey")
    await acting.arun(words="hey")
    assert calls(project) == ["hey", "hey"]
    shouting(project)
    uncached = project.graph("""
        name: uncached
        inputs: {words: text}
        nodes:
          one: {tool: shout, with: {text: $words}, cache: off}
          two: {tool: shout, with: {text: $words}, cache: off}
        outputs: {loud: $one.text, again: $two.text}
    """)
    await uncached.arun(words="ho")
    await uncached.arun(words="ho")
    assert calls(project)[2:] == ["ho"] * 4


async def test_equal_calls_at_once_are_made_once(project: Scratch) -> None:
    shouting(project)
    graph = project.graph("""
        name: same
        inputs: {words: text}
        nodes:
          one: {tool: shout, with: {text: $words}}
          two: {tool: shout, with: {text: $words}}
        outputs: {one: $one.text, two: $two.text}
    """)
    results = await asyncio.gather(*(graph.arun(words="hey") for _ in range(4)))
    assert {str(result.two) for result in results} == {"HEY"}
    assert calls(project) == ["hey"]


async def test_a_run_with_an_earlier_id_repeats_no_completed_call(project: Scratch) -> None:
    graph = shouting(project, effects=True)
    first = await graph.arun(words="hey")
    again = await graph.arun(words="hey", options=RunOptions(run=first.run))
    assert again.run == first.run
    assert again.nodes[0].cached
    assert calls(project) == ["hey"]


async def test_a_run_goes_on_in_one_place_at_a_time(project: Scratch) -> None:
    graph = shouting(project)
    with project.results.going_on("mine"), pytest.raises(CallerError, match="run mine goes on already"):
        await graph.arun(words="hey", options=RunOptions(run=RunId("mine")))
    assert calls(project) == []
    assert (await graph.arun(words="hey", options=RunOptions(run=RunId("mine")))).loud == Text("HEY")


class Paint:
    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[Inputs]) -> list[Outputs]:
        import numpy as np
        from PIL import Image

        drawn: list[Outputs] = []
        for call in batch:
            with open(LOG, "a") as log:
                log.write("paint\n")
            lots = np.random.default_rng(int(call["seed"]))
            drawn.append({"image": Image.fromarray(lots.integers(0, 255, (1000, 1400, 3), dtype=np.uint8))})
        return drawn

    def close(self) -> None: ...


class Look:
    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[Inputs]) -> list[Outputs]:
        return [{"image": call["image"], "width": float(call["image"].width)} for call in batch]

    def close(self) -> None: ...


def painting(project: Scratch) -> Graph:
    header = f"LOG = {str(project.home / 'calls.log')!r}"
    project.tool("paint", Paint, inputs={"seed": "number"}, outputs={"image": "image"}, header=header)
    project.tool("look", Look, inputs={"image": "image"}, outputs={"image": "image", "width": "number"})
    return project.graph("""
        name: paint
        inputs: {seed: number}
        nodes:
          paint: {tool: paint, with: {seed: $seed}}
          one:   {tool: look, with: {image: $paint.image}}
          two:   {tool: look, with: {image: $one.image}}
          three: {tool: look, with: {image: $two.image}}
        outputs: {image: $three.image, width: $three.width}
    """)


async def test_checkpoints_carry_references_however_large_the_pictures(project: Scratch) -> None:
    result = await painting(project).arun(seed=1)
    assert isinstance(result.image, Image)
    assert result.image.blob.size_bytes > 4_000_000
    with sqlite3.connect(project.home / "langgraph.sqlite") as database:
        (checkpoints,) = database.execute(
            "SELECT sum(length(checkpoint) + length(metadata)) FROM checkpoints"
        ).fetchone()
        (writes,) = database.execute("SELECT sum(length(value)) FROM writes").fetchone()
    database.close()
    assert (checkpoints + writes) / 4 <= 4096
    blobs = list(project.store.root.glob("??/*"))
    assert len(blobs) == 1


async def test_a_result_whose_picture_is_gone_is_made_again(project: Scratch) -> None:
    graph = painting(project)
    first = await graph.arun(seed=1)
    first.image.blob.path.unlink()
    again = await graph.arun(seed=1)
    assert np.array_equal(np.asarray(again.image.open()).shape, (1000, 1400, 3))
    assert calls(project) == ["paint", "paint"]


async def test_a_damaged_picture_is_reported_and_made_again_by_the_next_run(project: Scratch) -> None:
    graph = painting(project)
    first = await graph.arun(seed=1)
    path = first.image.blob.path
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(OperatorError, match="is damaged"):
        first.image.open()
    again = await graph.arun(seed=1)
    assert again.image.open().size == (1400, 1000)


async def test_a_disk_that_takes_no_run_is_an_operators_matter(project: Scratch) -> None:
    graph = shouting(project)
    (project.home / "langgraph.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(OperatorError, match="cannot be kept") as raised:
        await graph.arun(words="hey")
    assert raised.value.result.status == "failed"


def calling(module: str, name: str, argument: str) -> bytes:
    """What a permissive reader of checkpoints would call `module.name(argument)` for."""
    importlib.import_module("sensorium.graph.compile")  # imported by anybody else first, LangGraph stays unsafe
    from langgraph.checkpoint.serde.jsonplus import EXT_CONSTRUCTOR_SINGLE_ARG

    return ormsgpack.packb(ormsgpack.Ext(EXT_CONSTRUCTOR_SINGLE_ARG, ormsgpack.packb((module, name, argument))))


async def test_a_checkpoint_that_names_a_callable_has_nothing_called(project: Scratch) -> None:
    graph = shouting(project)
    first = await graph.arun(words="hey")
    mark = project.home / "called"
    database = sqlite3.connect(project.home / "langgraph.sqlite")
    with database:
        row = calling("os", "mkdir", str(mark))
        database.execute("UPDATE checkpoints SET type = 'msgpack', checkpoint = ?", (row,))
    database.close()
    with pytest.raises(OperatorError, match="cannot be read"):
        await graph.arun(words="hey", options=RunOptions(run=first.run))
    assert not mark.exists()
    assert (await graph.arun(words="hey")).loud == Text("HEY")


async def test_langgraph_that_would_read_checkpoints_unsafely_is_refused(
    project: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    importlib.import_module("sensorium.graph.compile")  # imported by anybody else first, LangGraph stays unsafe

    monkeypatch.setattr("langgraph.checkpoint.serde._msgpack.STRICT_MSGPACK_ENABLED", False)
    with pytest.raises(OperatorError, match="LANGGRAPH_STRICT_MSGPACK=true"):
        await shouting(project).arun(words="hey")
    assert calls(project) == []


class Waiting:
    """Waits until its door is opened."""

    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[Inputs]) -> list[Outputs]:
        (call,) = batch
        open(DOOR).close()
        return [{"text": call["text"]}]

    def close(self) -> None: ...


async def test_a_node_begins_as_soon_as_its_own_input_is_there(project: Scratch, door: Door) -> None:
    """The late node depends on the quick branch alone; the slow branch ends only when the late node has begun."""
    shouting(project)
    header = f"DOOR = {str(door.path)!r}"
    project.tool("wait", Waiting, inputs={"text": "text"}, outputs={"text": "text"}, header=header)
    graph = project.graph("""
        name: barrier
        inputs: {words: text}
        nodes:
          slow:  {tool: wait, with: {text: $words}}
          quick: {tool: shout, with: {text: $words}}
          late:  {tool: shout, with: {text: $quick.text}}
          both:  {tool: shout, with: {text: $slow.text}}
        outputs: {late: $late.text, both: $both.text}
    """)
    order: list[str] = []

    def see(event: Event) -> None:
        if isinstance(event, NodeStarted | NodeFinished):
            order.append(f"{type(event).__name__} {event.node}")
        if isinstance(event, NodeFinished) and event.node == "late":
            door.open()

    result = await graph.arun(words="hey", options=RunOptions(on_event=see))
    assert result.both == Text("HEY")
    assert order.index("NodeFinished late") < order.index("NodeFinished slow")


def test_a_killed_run_repeats_no_completed_call(tmp_path: Path, place: str) -> None:
    write_chain(tmp_path)
    _, was_killed = run_child(tmp_path, place, kill_after=NUM_STEPS // 2)
    out, _ = run_child(tmp_path, place, kill_after=sys.maxsize)
    assert was_killed
    assert f"DONE {NUM_STEPS}.0" in out
    begun = (tmp_path / "calls.log").read_text().split()
    assert set(begun) == {str(index) for index in range(NUM_STEPS)}
    assert completed_calls(place) == NUM_STEPS
    assert len(begun) <= NUM_STEPS + 1, "a call in flight when killed may recur, no other"


def test_a_killed_run_whose_nodes_name_a_callable_does_not_go_on(tmp_path: Path, place: str) -> None:
    write_chain(tmp_path)
    run_child(tmp_path, place, kill_after=NUM_STEPS // 2)
    mark = tmp_path / "called"
    assert change_writes(place, calling("os", "mkdir", str(mark))) > 0
    with start_child(tmp_path, place, errors=subprocess.PIPE) as child:
        out, errors = child.communicate()
    assert out == "READY\n"
    assert "of run killed cannot be read" in errors
    assert not mark.exists()


def change_writes(place: str, row: bytes) -> int:
    """Puts a row where LangGraph keeps what nodes of a run that has not ended gave; how many there were."""
    is_file = "://" not in place
    database = open_database(Path(place).with_name("langgraph.sqlite") if is_file else place)
    table, column = ("writes", "value") if is_file else ("checkpoint_writes", "blob")
    changed = database.execute(f"UPDATE {table} SET type = 'msgpack', {column} = ? RETURNING idx", (row,))
    database.close()
    return len(changed)


async def test_numbers_come_back_from_the_store_as_they_went_in(project: Scratch) -> None:
    graph = painting(project)
    assert (await graph.arun(seed=2)).width == Number(1400.0) == (await graph.arun(seed=2)).width
