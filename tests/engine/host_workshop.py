"""Tools that a test writes as folders, and calls of them."""

from __future__ import annotations

import hashlib
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sensorium.host.contract import Binding, Done, Host, HostEvent
from sensorium.parts import Text, Value
from sensorium.spec.tool import ToolSpec
from sensorium.store import Store

UPPER = """
    class Upper:
        def setup(self, checkpoints, device): ...
        def run(self, batch): return [{"text": call["text"].upper()} for call in batch]
        def close(self): ...
"""


class Workshop:
    """A folder of tools, and a store."""

    def __init__(self, root: Path) -> None:
        self.home = root / "home"
        self.store = Store(root / "store")
        self.tools = root / "tools"

    def tool(
        self,
        code: str = UPPER,
        *,
        name: str = "sample",
        inputs: Mapping[str, str] | None = None,
        outputs: Mapping[str, Any] | None = None,
        beside: Mapping[str, str] | None = None,
        declared: Mapping[str, Any] | None = None,
        **bound: Any,
    ) -> Binding:
        """A tool with this `worker.py`, bound; by default text goes in and text comes out, and nothing stays warm."""
        folder = self.tools / name
        folder.mkdir(parents=True, exist_ok=True)
        files = {"worker.py": code, **(beside or {})}
        for file, text in files.items():
            (folder / file).write_text(textwrap.dedent(text))
        raw = {
            "name": name,
            "about": "A sample.",
            "inputs": dict(inputs or {"text": "text"}),
            "outputs": dict(outputs or {"text": "text"}),
            **(declared or {}),
        }
        digest = hashlib.sha256(repr((name, sorted(files.items()))).encode()).hexdigest()
        settings: dict[str, Any] = {"keep_warm_s": 0.0, **bound}
        return Binding(ToolSpec.model_validate(raw), folder, digest, **settings)


async def events(host: Host, binding: Binding, deadline_s: float | None = None, /, **inputs: Value) -> list[HostEvent]:
    """Every event of one call."""
    return [event async for event in host.call(binding, inputs, key="key", deadline_s=deadline_s)]


async def outputs(
    host: Host, binding: Binding, deadline_s: float | None = None, /, **inputs: Value
) -> dict[str, Value]:
    """The outputs of one call."""
    last = (await events(host, binding, deadline_s, **inputs))[-1]
    assert isinstance(last, Done)
    return last.outputs


async def say(host: Host, binding: Binding, text: str, deadline_s: float | None = None) -> str:
    """The text that a tool answers to a text."""
    answer = (await outputs(host, binding, deadline_s, text=Text(text)))["text"]
    assert isinstance(answer, Text)
    return answer.value
