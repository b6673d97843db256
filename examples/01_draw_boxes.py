"""A graph built in Python, run on a picture. It needs no weights: the tool that it calls only draws.

python examples/01_draw_boxes.py [OUT]
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

import sensorium
from sensorium.spec.build import GraphBuilder


def main(out: Path) -> None:
    g = GraphBuilder("boxed", about="Draws boxes on a picture.")
    picture, boxes = g.input("picture", "image"), g.input("boxes", "boxes")
    drawn = g.node("draw", tool="overlay", image=picture, boxes=boxes)
    g.output("drawn", drawn.image)

    graph = sensorium.Project.find().build(g)
    result = graph.run(picture=Image.new("RGB", (320, 200), "white"), boxes=[[40, 30, 160, 150], [180, 60, 300, 180]])
    out.mkdir(parents=True, exist_ok=True)
    result.drawn.save(out / "boxed.png")
    print(graph.to_yaml())
    print(out / "boxed.png")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "out/examples"))
