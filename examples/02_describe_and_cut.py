"""Say what is in a picture and cut out the thing that is asked for.

python examples/02_describe_and_cut.py [PICTURE] [REQUEST]
"""

from __future__ import annotations

import sys
from pathlib import Path

import sensorium


def main(picture: str, request: str) -> None:
    graph = sensorium.load("describe-and-cut")
    result = graph.run(picture=picture, request=request)
    out = Path("out/examples")
    out.mkdir(parents=True, exist_ok=True)
    print(result["seen"])
    print(result["answer"])
    if result.masks is not None:
        result.masks.save(out / "mask.png")
        result.overlay.save(out / "overlay.png")
        print(out / "mask.png", out / "overlay.png")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1], " ".join(sys.argv[2:]) or "Cut out the main thing.")
    else:
        from skimage.data import data_dir

        main(f"{data_dir}/chelsea.png", "What is in this picture? Cut out the cat.")
