"""A run that waits for a person, goes on with what the person changed, and is forked. It needs no weights.

python examples/07_ask_a_person.py [OUT]
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

import sensorium

GRAPH = """
name: boxed
inputs: {picture: image, boxes: boxes}
nodes:
  draw: {tool: overlay, with: {image: $picture, boxes: $boxes}, approve: true}
outputs: {drawn: $draw.image}
"""


class Person:
    """Agrees, but wants another box. A real one would be asked here, and other nodes would go on meanwhile."""

    async def ask(self, question: sensorium.Question) -> sensorium.Verdict:
        print(f"{question.node} wants to call {question.callee} with {question.inputs['boxes']}")
        return sensorium.Verdict(True, inputs={"boxes": [[10, 10, 90, 90]]})


def main(out: Path) -> None:
    graph = sensorium.Project.find().parse(GRAPH)
    quiet = sensorium.RunOptions(raise_on_failure=False)
    asked = graph.run(picture=Image.new("RGB", (100, 100), "white"), boxes=[[0, 0, 50, 50]], options=quiet)
    print(asked.status)

    with_person = sensorium.RunOptions(approver=Person())
    result = graph.resume(asked.run, options=with_person)
    print(result.status, result.run == asked.run)

    fork = graph.fork(asked.run, "draw", options=with_person)
    print(fork.status, fork.run == asked.run)
    out.mkdir(parents=True, exist_ok=True)
    result.drawn.save(out / "asked.png")
    print(out / "asked.png")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "out/examples"))
