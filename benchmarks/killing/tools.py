"""Tools that write down in an outside log when a call begins and when it ends.

Each class is the source of a `worker.py`, behind `header`; it stands by itself. What a tool gives follows from its
inputs alone, and one output, `mark`, says which call it was.
"""

# ruff: noqa: F821 - `note`, `digest` and the imports stand in the header

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sensorium.testing import Scratch

__all__ = ["fill", "header"]

Inputs = dict[str, Any]
Outputs = dict[str, Any]

WORK_S = 0.01
"""What a tool's work takes, so that kills fall into the midst of calls too."""


def header(log: Path, bell: Path) -> str:
    """What stands before a tool's class: each line of `log` is appended by one write, and rings `bell`."""
    return textwrap.dedent(f"""
        import hashlib
        import os
        import time

        LOG = {str(log)!r}
        BELL = {str(bell)!r}
        WORK_S = {WORK_S}


        def note(what, mark):
            for path, flags, line in (
                (LOG, os.O_APPEND | os.O_CREAT, f"{{what}} {{mark}}\\n"),
                (BELL, os.O_NONBLOCK, "."),
            ):
                handle = os.open(path, os.O_WRONLY | flags, 0o600)
                os.write(handle, line.encode())
                os.close(handle)


        def digest(data):
            return hashlib.sha256(data if isinstance(data, bytes) else data.encode()).hexdigest()[:12]


        def done(mark):
            note("begin", mark)
            time.sleep(WORK_S)
            note("end", mark)
            return {{"text": digest(mark), "mark": mark}}
    """)


def fill(project: Scratch, log: Path, bell: Path) -> None:
    """Makes all tools of a project, the sub-graphs that graphs call, and what an agent may use."""
    text, mark = {"text": "text"}, {"text": "text", "mark": "text"}
    made: dict[str, tuple[type, dict[str, str], dict[str, str]]] = {
        "say": (Say, {"text": "text", "more": "text?"}, mark),
        "join": (Join, {"texts": "[text]"}, mark),
        "paint": (Paint, text, {"image": "image", "mark": "text"}),
        "look": (Look, {"image": "image"}, mark),
        "slip": (Slip, text, mark),
        "split": (Split, text, {"words": "[text]", "mark": "text"}),
        "count": (Count, {"text": "text", "number": "number"}, {"number": "number", "enough": "flag", "mark": "text"}),
    }
    for name, (worker, inputs, outputs) in made.items():
        project.tool(name, worker, inputs=inputs, outputs=outputs, header=header(log, bell))
    for name in ("act", "send"):
        project.tool(name, Act, inputs=text, outputs=mark, header=header(log, bell), effects=True)


class Say:
    """Answers one text with another."""

    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[Inputs]) -> list[Outputs]:
        return [done(f"say {call['text']} {call['more'] or ''}") for call in batch]

    def close(self) -> None: ...


class Act:
    """Acts on the world: nobody but the same node of the same run may use what it gave."""

    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[Inputs]) -> list[Outputs]:
        return [done(f"act {call['text']}") for call in batch]

    def close(self) -> None: ...


class Join:
    """Makes one text of many."""

    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[Inputs]) -> list[Outputs]:
        return [done(f"join {' '.join(call['texts'])}") for call in batch]

    def close(self) -> None: ...


class Paint:
    """Paints noise."""

    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[Inputs]) -> list[Outputs]:
        import numpy as np
        from PIL import Image

        painted: list[Outputs] = []
        for call in batch:
            mark = done(f"paint {call['text']}")["mark"]
            lots = np.random.default_rng(int(digest(mark), 16))
            painted.append({"image": Image.fromarray(lots.integers(0, 255, (120, 160, 3), np.uint8)), "mark": mark})
        return painted

    def close(self) -> None: ...


class Look:
    """Reads every pixel of a picture."""

    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[Inputs]) -> list[Outputs]:
        return [done(f"look {digest(call['image'].tobytes())}") for call in batch]

    def close(self) -> None: ...


class Slip:
    """Fails the first time that it gets a text, in a way that can pass."""

    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[Inputs]) -> Iterator[object]:
        from pathlib import Path

        from sensorium.worker import Failed

        (call,) = batch
        slipped = Path(f"{LOG}.{digest(call['text'])}")
        if slipped.exists():
            yield [done(f"slip {call['text']}")]
        else:
            note("begin", f"slip {call['text']}")
            slipped.touch()
            note("fail", f"slip {call['text']}")
            yield Failed(0, "not yet", can_retry=True)
            yield [None]

    def close(self) -> None: ...


class Split:
    """Gives the letters of a text one by one, as it comes to them."""

    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[Inputs]) -> Iterator[object]:
        from sensorium.worker import Item

        (call,) = batch
        mark = f"split {call['text']}"
        note("begin", mark)
        for letter in call["text"]:
            time.sleep(WORK_S)
            yield Item(0, "words", letter)
        note("end", mark)
        yield [{"words": list(call["text"]), "mark": mark}]

    def close(self) -> None: ...


class Count:
    """Counts by one, up to four."""

    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[Inputs]) -> list[Outputs]:
        counted: list[Outputs] = []
        for call in batch:
            mark = done(f"count {call['text']} {call['number']:g}")["mark"]
            number = call["number"] + 1
            counted.append({"number": number, "enough": number >= 4, "mark": mark})
        return counted

    def close(self) -> None: ...
