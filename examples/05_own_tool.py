"""A project of one's own: made by `sensorium init`, its tool run from Python. It needs no weights.

python examples/05_own_tool.py [DIR]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import sensorium
from sensorium.project.start import write_template


def main(folder: Path) -> None:
    write_template(folder)
    shout = sensorium.load("shout", project=folder)
    print(shout.run(text="good morning", times=2)["text"])
    for result in shout.batch([{"text": "one"}, {"text": "two"}]):
        print(result["text"])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else scratch) / "mine")
