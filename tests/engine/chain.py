"""A run in a process of its own: a chain of calls, each of which writes a line into a file beside it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from sensorium.database import open_database

__all__ = ["NUM_STEPS", "completed_calls", "run_child", "start_child", "write_chain"]

NUM_STEPS = 10

_CHILD = """
import asyncio, sys
from pathlib import Path
from sensorium.database import open_database
from sensorium.events import RunId
from sensorium.graph import RunOptions
from sensorium.testing import Scratch

async def main(home, place):
    project = Scratch(home, database=open_database(place))
    for folder in sorted((home / "given").iterdir()):
        project.tool_folder(folder)
    graph = project.graph((home / "graph.yaml").read_text())
    print("READY", flush=True)
    result = await graph.arun(start=0, options=RunOptions(run=RunId("killed")))
    print("DONE", result.end.value, flush=True)

asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
"""
_STEP = """
import os
from pathlib import Path

DOOR = {door!r}

class Step:
    def setup(self, checkpoints, device): ...

    def run(self, batch):
        for call in batch:
            log = os.open({log!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            os.write(log, f"{{call['number']:g}}\\n".encode())
            os.close(log)
            os.write(1, b"CALL\\n")
            if DOOR:
                open(DOOR).close()
        return [{{"number": call["number"] + 1}} for call in batch]

    def close(self): ...
"""


def write_chain(home: Path, *, log: Path | None = None, door: Path | None = None) -> None:
    """Writes a graph of `NUM_STEPS` calls in a row, and its tool, which acts on the world.

    Args:
        home: The run's directory.
        log: Where each call writes its number; `calls.log` in the home.
        door: A pipe that each call waits at.
    """
    folder = home / "given" / "step"
    folder.mkdir(parents=True)
    source = _STEP.format(log=str(log or home / "calls.log"), door="" if door is None else str(door))
    (folder / "worker.py").write_text(source)
    (folder / "tool.yaml").write_text(
        "name: step\nabout: Adds one.\ninputs: {number: number}\noutputs: {number: number}\neffects: true\n"
    )
    wires = ["$start", *(f"$n{index}.number" for index in range(NUM_STEPS - 1))]
    nodes = "".join(f"  n{index}: {{tool: step, with: {{number: {wire}}}}}\n" for index, wire in enumerate(wires))
    (home / "graph.yaml").write_text(
        f"name: chain\ninputs: {{start: number}}\nnodes:\n{nodes}outputs: {{end: $n{NUM_STEPS - 1}.number}}\n"
    )


def start_child(home: Path, place: str, *, errors: int | None = None) -> subprocess.Popen[str]:
    """A process that carries out the run `killed` of the chain, and says READY, CALL for each call, and DONE.

    Args:
        home: Where the chain was written.
        place: The database.
        errors: Where its errors go, as `subprocess.Popen` has it.
    """
    return subprocess.Popen(
        [sys.executable, "-c", _CHILD, str(home), place],
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def run_child(home: Path, place: str, kill_after: int) -> tuple[str, bool]:
    """Runs the chain until it has told of so many calls, and kills the process then: what it said, and whether."""
    with start_child(home, place) as child:
        assert child.stdout is not None
        said: list[str] = []
        for line in child.stdout:
            said.append(line)
            if said.count("CALL\n") == kill_after:
                child.send_signal(signal.SIGKILL)
        return "".join(said), child.wait() == -signal.SIGKILL


def completed_calls(place: str) -> int:
    """How many results of the run are kept."""
    database = open_database(place)
    ((count,),) = database.execute("SELECT count(*) FROM sensorium_results WHERE run = 'killed'")
    database.close()
    return int(count)
