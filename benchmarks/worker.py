"""What a tool in a process of its own costs beyond its work: a start, and a warm call."""

from __future__ import annotations

import asyncio
import hashlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from report import Figure, report

from sensorium.host import WorkerHost
from sensorium.host.contract import Binding
from sensorium.parts import Text, Value
from sensorium.spec.tool import ToolSpec
from sensorium.store import Store

STARTS = 7
CALLS = 500
CODE = """
class Echo:
    def setup(self, checkpoints, device): ...
    def run(self, batch): return [{"text": call["text"]} for call in batch]
    def close(self): ...
"""


async def timed(work: Callable[[], Awaitable[object]]) -> float:
    """Seconds that `work` takes."""
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began


async def call(host: WorkerHost, binding: Binding) -> None:
    inputs: dict[str, Value] = {"text": Text("hello")}
    async for _ in host.call(binding, inputs, key="key"):
        pass


async def measure(root: Path) -> list[Figure]:
    """Figures of one tool, in processes that start under `root`."""
    folder = root / "echo"
    folder.mkdir()
    (folder / "worker.py").write_text(CODE)
    spec = ToolSpec(name="echo", about="x", inputs={"text": "text"}, outputs={"text": "text"})
    binding = Binding(spec, folder, hashlib.sha256(CODE.encode()).hexdigest(), keep_warm_s=0)
    host = WorkerHost(root / "home", Store(root / "store"))
    starts: list[float] = []
    for _ in range(STARTS):
        await host.unload(binding)
        starts.append(await timed(lambda: host.load(binding)))
    calls = [await timed(lambda: call(host, binding)) for _ in range(CALLS)]
    await host.close()
    return [
        Figure("start of a light tool beyond Python's own", min(starts) - bare_s(), 0.3, unit="s"),
        Figure("warm call", statistics.median(calls) * 1000, 2.0, unit="ms"),
    ]


def bare_s() -> float:
    """Seconds that the bare interpreter takes."""
    times: list[float] = []
    for _ in range(STARTS):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        times.append(time.perf_counter() - began)
    return min(times)


def main() -> None:
    with tempfile.TemporaryDirectory() as root:
        report("worker", asyncio.run(measure(Path(root))))


if __name__ == "__main__":
    main()
