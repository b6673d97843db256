"""What streams save: three stages over twenty chunks, and the first sentence of a spoken answer.

    python benchmarks/stream.py [--profile NAME]

Both figures are shares of a time measured in the same run: of three nodes that each take the whole list, one after the
other; and of ten sentences of the graph `tell`, until the last of them can be heard, nothing kept from before.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from report import Figure, report

import sensorium
from sensorium.events import Event, NodeFinished
from sensorium.graph import Graph, RunOptions
from sensorium.testing import Scratch

ROUNDS = 5
CHUNKS = 20
REQUEST = "How do I make a cup of tea?"
SENTENCES = 10

SEQUENTIAL = """
    name: sequential
    inputs: {count: number}
    nodes:
      first:  {tool: chunks, with: {count: $count}}
      second: {tool: whole, with: {chunks: $first.chunks}}
      third:  {tool: whole, with: {chunks: $second.chunks}}
    outputs: {chunks: $third.chunks}
"""
STREAMED = """
    name: streamed
    inputs: {count: number}
    nodes:
      first:  {tool: chunks, with: {count: $count}}
      second: {tool: one, each: $first.chunks, as: chunk, with: {chunk: $chunk}}
      third:  {tool: other, each: $second.chunk, as: chunk, with: {chunk: $chunk}}
    outputs: {chunks: $third.chunk}
"""
CHUNK_S = 0.05
HEADER = f"import time\nCHUNK_S = {CHUNK_S}"


class Chunks:
    """Makes chunks one after another."""

    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[dict[str, Any]]) -> Iterator[object]:
        from sensorium.worker import Item

        (call,) = batch
        chunks = [f"chunk {number}" for number in range(int(call["count"]))]
        for chunk in chunks:
            time.sleep(CHUNK_S)
            yield Item(0, "chunks", chunk)
        yield [{"chunks": chunks}]

    def close(self) -> None: ...


class Whole:
    """Works on the chunks of a whole list."""

    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[dict[str, Any]]) -> list[dict[str, Any]]:
        (call,) = batch
        for _ in call["chunks"]:
            time.sleep(CHUNK_S)
        return [{"chunks": [f"{chunk}'" for chunk in call["chunks"]]}]

    def close(self) -> None: ...


class One:
    """Works on one chunk."""

    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[dict[str, Any]]) -> list[dict[str, Any]]:
        (call,) = batch
        time.sleep(CHUNK_S)
        return [{"chunk": f"{call['chunk']}'"}]

    def close(self) -> None: ...


async def chunks(folder: Path) -> tuple[float, float]:
    """Seconds of twenty chunks through three stages: the whole list at a time, and streamed."""
    project = Scratch(folder, host="worker")
    project.tool("chunks", Chunks, inputs={"count": "number"}, outputs={"chunks": "[text]"}, header=HEADER)
    project.tool("whole", Whole, inputs={"chunks": "[text]"}, outputs={"chunks": "[text]"}, header=HEADER)
    for name in ("one", "other"):
        project.tool(name, One, inputs={"chunk": "text"}, outputs={"chunk": "text"}, header=HEADER)
    graphs = project.graph(SEQUENTIAL), project.graph(STREAMED)
    for graph in graphs:
        await timed_chunks(graph)  # starts the workers
    taken = [[await timed_chunks(graph) for graph in graphs] for _ in range(ROUNDS)]
    await project.close()
    sequential, streamed = zip(*taken, strict=True)
    return statistics.median(sequential), statistics.median(streamed)


async def timed_chunks(graph: Graph) -> float:
    began_s = time.perf_counter()
    result = await graph.arun(count=CHUNKS, options=RunOptions(fresh=True))
    assert len(result.chunks) == CHUNKS
    return time.perf_counter() - began_s


async def answer(profile: str) -> tuple[float, float]:
    """Seconds until the first sentence of an answer can be heard, and until the tenth can."""
    project = sensorium.Project.find(profile=profile)
    graph = project.graph("tell")
    taken: list[list[float]] = []
    for _ in range(ROUNDS):
        await timed_answer(graph, "Say hello.")  # starts the workers, and leaves no prompt to go on from
        taken.append(await timed_answer(graph, REQUEST))
    await project.close()
    return statistics.median(heard[0] for heard in taken), statistics.median(heard[SENTENCES - 1] for heard in taken)


async def timed_answer(graph: Graph, request: str) -> list[float]:
    """When each sentence can be heard, in seconds from the request."""
    heard_s: dict[str, float] = {}

    def see(event: Event) -> None:
        if isinstance(event, NodeFinished) and event.outputs.get("audio") is not None:
            heard_s[event.node] = time.perf_counter() - began_s

    began_s = time.perf_counter()
    result = await graph.arun(request=request, options=RunOptions(fresh=True, on_event=see))
    return [heard_s[f"say[{index}]"] for index, audio in enumerate(result.speech) if audio is not None]


async def main(profile: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        sequential_s, streamed_s = await chunks(Path(folder))
    first_s, tenth_s = await answer(profile)
    report(
        "stream",
        [
            Figure(
                f"three stages of {CHUNKS} chunks, streamed, over one after the other", streamed_s / sequential_s, 0.4
            ),
            Figure(f"first sentence heard, over all {SENTENCES}", first_s / tenth_s, 0.35),
        ],
        profile=profile,
        chunk_s=CHUNK_S,
        sequential_s=round(sequential_s, 3),
        streamed_s=round(streamed_s, 3),
        first_sentence_s=round(first_s, 2),
        tenth_sentence_s=round(tenth_s, 2),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--profile", default="small", help="profile to run with")
    asyncio.run(main(parser.parse_args().profile))
