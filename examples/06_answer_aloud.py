"""Answer a request aloud: each sentence is a sound of its own, there while the next is still being written.

python examples/06_answer_aloud.py REQUEST [--profile NAME] [--out DIR]
"""

from __future__ import annotations

import argparse
import asyncio
import re
from pathlib import Path

import sensorium
from sensorium.events import ItemMade, NodeFinished

SENTENCE = re.compile(r"say\[(\d+)\]")
"""The node that speaks one sentence."""


async def main(request: str, profile: str | None, out: Path) -> None:
    project = sensorium.Project.find(profile=profile)
    async for event in project.graph("tell").stream(request=request):
        if isinstance(event, ItemMade) and event.node == "think":
            print(f"written: {event.part}")
        if isinstance(event, NodeFinished) and (sentence := SENTENCE.fullmatch(event.node)) and event.outputs["audio"]:
            path = out / f"{int(sentence[1]):03d}.wav"
            event.outputs["audio"].save(path)
            print(f"spoken:  {path}")
    await project.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("request", help="what is to be answered")
    parser.add_argument("--profile", help="profile to run with")
    parser.add_argument("--out", type=Path, default=Path("out/aloud"), help="where the sounds go")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    asyncio.run(main(given.request, given.profile, given.out))
