"""What the engine costs beside the bare functional API, and how soon nodes begin.

    python benchmarks/engine.py [--dags N]

Both sides use the same SQLite settings and run by turns, so that a busy machine troubles both alike.
"""

from __future__ import annotations

import os

os.environ["LANGGRAPH_STRICT_MSGPACK"] = "true"

import argparse
import asyncio
import random
import sqlite3
import statistics
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiosqlite
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.func import entrypoint, task
from report import Figure, report

from sensorium.events import Event, NodeFinished, NodeStarted, RunId
from sensorium.graph import RunOptions
from sensorium.graph.leaf import CallContext, call_tool
from sensorium.graph.lineage import Lineage
from sensorium.host.contract import Binding, Done, HostEvent, WorkerState
from sensorium.parts import Image, Number, Value
from sensorium.spec.graph import GraphSpec, NodeSpec
from sensorium.testing import Scratch

NUM_NODES = 100
ROUNDS = 15
NUM_DAGS = 200
PICTURE_BYTES = 4 << 20


class HostOfNothing:
    """A host whose tools take as long as they are told, and give what they got, numbers one larger."""

    async def load(self, binding: Binding) -> None: ...

    async def call(
        self, binding: Binding, inputs: Mapping[str, Value], *, key: str, deadline_s: float | None = None
    ) -> AsyncIterator[HostEvent]:
        seconds = inputs.get("seconds")
        if isinstance(seconds, Number) and seconds.value:
            await asyncio.sleep(seconds.value)
        outputs = {port: inputs[port] for port in binding.spec.outputs}
        value = outputs.get("value")
        yield Done(outputs | ({"value": Number(value.value + 1)} if isinstance(value, Number) else {}), 0.0)

    async def unload(self, binding: Binding) -> None: ...

    async def health(self, binding: Binding) -> bool:
        return True

    async def stats(self) -> list[WorkerState]:
        return []

    async def close(self) -> None: ...


def project(folder: Path) -> Scratch:
    made = Scratch(folder, parallel=1000)
    made.host = HostOfNothing()
    made.tool("pass", "class Pass: ...", inputs={"value": "number"}, outputs={"value": "number"})
    made.tool("paint", "class Paint: ...", inputs={"image": "image"}, outputs={"image": "image"})
    wait = {"value": "number", "seconds": "number", **{f"after{index}": "number?" for index in range(8)}}
    made.tool("wait", "class Wait: ...", inputs=wait, outputs={"value": "number"})
    return made


# What a node costs


def chain(
    made: Scratch,
    tool: str = "pass",
    port: str = "value",
    kind: str = "number",
    length: int = NUM_NODES,
    **further: Any,
) -> Any:
    wires = [f"${port}", *(f"$n{index}.{port}" for index in range(length - 1))]
    nodes = {
        f"n{i}": NodeSpec.model_validate({"tool": tool, "with": {port: wire}, **further})
        for i, wire in enumerate(wires)
    }
    outputs = {port: f"$n{length - 1}.{port}"}
    return made.graph(GraphSpec(name=f"chain-{tool}", inputs={port: kind}, nodes=nodes, outputs=outputs))


async def bare_chain(database: Path) -> None:
    """The same chain as the functional API alone has it: static order, each task waits for the one before."""
    async with aiosqlite.connect(database, timeout=30) as connection:
        saver = AsyncSqliteSaver(connection, serde=JsonPlusSerializer(allowed_msgpack_modules=None))
        await saver.setup()
        await connection.execute("PRAGMA synchronous = NORMAL")
        launched: dict[str, Any] = {}

        def body(index: int) -> Any:
            async def step() -> dict[str, Any]:
                if index:
                    await asyncio.wait([launched[f"n{index - 1}"]])
                return {"status": "done", "key": "0" * 64}

            return step

        declare: Any = task
        tasks = {f"n{index}": declare(name=f"n{index}")(body(index)) for index in range(NUM_NODES)}

        @entrypoint(checkpointer=saver)
        async def workflow(begun: dict[str, str]) -> dict[str, Any]:
            for name, launch in tasks.items():
                launched[name] = launch()
                await asyncio.sleep(0)
            await asyncio.wait(launched.values())
            return {name: future.result() for name, future in launched.items()}

        await workflow.ainvoke({"graph": "chain"}, {"configurable": {"thread_id": uuid.uuid4().hex}})


async def overhead(folder: Path) -> dict[str, float]:
    made = project(folder)
    graph = chain(made)
    await bare_chain(folder / "bare.sqlite")
    open_file = sqlite3.connect(folder / "bare.sqlite")  # the engine holds its file open too
    open_file.execute("SELECT count(*) FROM checkpoints").fetchall()
    ours: list[float] = []
    bare: list[float] = []
    kept: list[float] = []
    for number in range(ROUNDS + 1):
        began = time.perf_counter()
        await bare_chain(folder / "bare.sqlite")
        bare.append(time.perf_counter() - began)
        began = time.perf_counter()
        await graph.arun(value=number * 1000)
        ours.append(time.perf_counter() - began)
        began = time.perf_counter()
        await graph.arun(value=number * 1000)
        kept.append(time.perf_counter() - began)
    await made.close()
    open_file.close()
    return {
        "bare_ms": statistics.median(bare[1:]) / NUM_NODES * 1e3,
        "ours_ms": statistics.median(ours[1:]) / NUM_NODES * 1e3,
        "kept_ms": statistics.median(kept[1:]) / NUM_NODES * 1e3,
        "ratio": statistics.median(one / other for one, other in zip(ours[1:], bare[1:], strict=True)),
    }


# How soon nodes begin


def random_dag(lots: random.Random, shortest_s: float, longest_s: float) -> list[tuple[float, list[int]]]:
    """For each node its seconds and the earlier nodes that it waits for."""
    size = lots.randint(5, 40)
    return [
        (lots.uniform(shortest_s, longest_s), lots.sample(range(index), min(index, lots.randint(0, 3))))
        for index in range(size)
    ]


def critical_path_s(dag: list[tuple[float, list[int]]]) -> float:
    ends: list[float] = []
    for seconds, before in dag:
        ends.append(max((ends[index] for index in before), default=0.0) + seconds)
    return max(ends)


async def plain_asyncio_s(dag: list[tuple[float, list[int]]]) -> float:
    tasks: list[asyncio.Task[None]] = []

    async def node(seconds: float, before: list[int]) -> None:
        if before:
            await asyncio.wait([tasks[index] for index in before])
        await asyncio.sleep(seconds)

    began = time.perf_counter()
    for seconds, before in dag:
        tasks.append(asyncio.create_task(node(seconds, before)))
    await asyncio.wait(tasks)
    return time.perf_counter() - began


async def ours_s(made: Scratch, dag: list[tuple[float, list[int]]], number: int) -> float:
    nodes = {
        f"n{index}": NodeSpec.model_validate(
            {
                "tool": "wait",
                "with": {
                    "value": "$value",
                    "seconds": seconds,
                    **{f"after{n}": f"$n{b}.value" for n, b in enumerate(before)},
                },
            }
        )
        for index, (seconds, before) in enumerate(dag)
    }
    outputs = {f"out{index}": f"$n{index}.value" for index in range(len(dag))}
    graph = made.graph(GraphSpec(name=f"dag-{number}", inputs={"value": "number"}, nodes=nodes, outputs=outputs))
    began = time.perf_counter()
    await graph.arun(value=number)
    return time.perf_counter() - began


async def makespans(folder: Path, num_dags: int, shortest_s: float, longest_s: float) -> dict[str, float]:
    made = project(folder)
    lots = random.Random(7)
    over_path: list[float] = []
    over_asyncio: list[float] = []
    for number in range(num_dags + 1):
        dag = random_dag(lots, shortest_s, longest_s)
        plain_s = await plain_asyncio_s(dag)
        here_s = await ours_s(made, dag, number)
        over_path.append(here_s / critical_path_s(dag))
        over_asyncio.append(here_s / plain_s)
    await made.close()
    return {"critical_path": statistics.mean(over_path[1:]), "plain_asyncio": statistics.mean(over_asyncio[1:])}


async def lateness(folder: Path) -> float:
    """Seconds from when a quick node has ended until the node behind it begins, while a slow one goes on beside it."""
    made = project(folder)
    graph = made.graph("""
        name: barrier
        inputs: {value: number}
        nodes:
          slow:  {tool: wait, with: {value: $value, seconds: 0.5}}
          quick: {tool: wait, with: {value: $value, seconds: 0.05}}
          late:  {tool: wait, with: {value: $quick.value, seconds: 0.05}}
          both:  {tool: wait, with: {value: $slow.value, seconds: 0.01, after0: $late.value}}
        outputs: {value: $both.value}
    """)
    taken: list[float] = []
    for number in range(ROUNDS):
        seen: dict[str, float] = {}

        def see(event: Event, seen: dict[str, float] = seen) -> None:
            if isinstance(event, NodeStarted | NodeFinished):
                seen[f"{type(event).__name__} {event.node}"] = time.perf_counter()

        await graph.arun(value=number, options=RunOptions(on_event=see))
        assert seen["NodeFinished late"] < seen["NodeFinished slow"]
        taken.append(seen["NodeStarted late"] - seen["NodeFinished quick"])
    await made.close()
    return max(taken)


# What pictures of 4 MB cost


async def pictures(folder: Path) -> dict[str, float]:
    made = project(folder)
    length = 10
    graph = chain(made, "paint", "image", "image", length)
    side = int((PICTURE_BYTES / 3) ** 0.5) + 1
    lots = random.Random(1)
    from PIL import Image as PillowImage

    await graph.arun(image=PillowImage.frombytes("RGB", (side, side), lots.randbytes(side * side * 3)))
    result = await graph.arun(image=PillowImage.frombytes("RGB", (side, side), lots.randbytes(side * side * 3)))
    with sqlite3.connect(folder / "langgraph.sqlite") as database:
        (checkpoints,) = database.execute(
            "SELECT sum(length(checkpoint) + length(metadata)) FROM checkpoints WHERE thread_id = ?", (result.run,)
        ).fetchone()
        (writes,) = database.execute(
            "SELECT sum(length(value)) FROM writes WHERE thread_id = ?", (result.run,)
        ).fetchone()
    database.close()
    hit_s = await hit(made, result.image, result.run)
    await made.close()
    return {"checkpoint_bytes": (checkpoints + writes) / length, "hit_ms": hit_s * 1e3}


async def hit(made: Scratch, image: Image, run: RunId) -> float:
    """Seconds to find a result that is kept."""
    context = CallContext(run, "hit", made, lambda event: None, asyncio.Semaphore(1), Lineage(run))
    times: list[float] = []
    for _ in range(20):
        began = time.perf_counter()
        outcome = await call_tool(context, made.tools["paint"], {"image": image})
        times.append(time.perf_counter() - began)
        assert outcome.cached
    return statistics.median(times)


def main(num_dags: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        cost = asyncio.run(overhead(home / "overhead"))
        long = asyncio.run(makespans(home / "long", num_dags, 0.08, 0.24))
        short = asyncio.run(makespans(home / "short", num_dags, 0.02, 0.06))
        late_s = asyncio.run(lateness(home / "late"))
        large = asyncio.run(pictures(home / "pictures"))
    report(
        "engine",
        [
            Figure("node over bare functional API", cost["ratio"], 1.25, unit="x"),
            Figure("makespan over critical path, 80-240 ms nodes", long["critical_path"], 1.05, unit="x"),
            Figure("makespan over plain asyncio, 20-60 ms nodes", short["plain_asyncio"], 1.05, unit="x"),
            Figure("a node behind a quick one, beside a slow one, begins late by", late_s * 1e3, 20, unit="ms"),
            Figure("checkpoint of a node with a 4 MB picture", large["checkpoint_bytes"], 4096, unit="bytes"),
            Figure("a kept result on a 4 MB picture", large["hit_ms"], 5, unit="ms"),
        ],
        dags=num_dags,
        node_ms=cost["ours_ms"],
        bare_node_ms=cost["bare_ms"],
        kept_node_ms=cost["kept_ms"],
        plain_asyncio_long=long["plain_asyncio"],
        critical_path_short=short["critical_path"],
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dags", type=int, default=NUM_DAGS, help="how many random graphs, of either kind")
    main(parser.parse_args().dags)
