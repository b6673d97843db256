"""The demo: a spoken request about a photograph is heard, looked at, decided, cut, and answered aloud.

    python examples/03_hear_see_speak.py [--profile NAME] [--out DIR]

The photograph (a cat) comes with scikit-image. The request is spoken by the box's own voice.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from skimage.data import data_dir

import sensorium
from sensorium.cli.show import print_result
from sensorium.cli.watch import Watcher

REQUEST = "What is in this picture? Please cut out the cat."


async def main(profile: str | None, out: Path) -> None:
    project = sensorium.Project.find(profile=profile)
    with Watcher() as watcher:
        options = sensorium.RunOptions(on_event=watcher.see)
        spoken = await project.graph("speak").arun(text=REQUEST, options=options)
        spoken.audio.save(out / "request.wav")
        picture = Path(data_dir) / "chelsea.png"
        graph = project.graph("hear-see-speak")
        result = await graph.arun(sound=out / "request.wav", picture=picture, options=options)
    await project.close()
    print(f"request: {out / 'request.wav'}")
    print(f"picture: {picture}")
    print_result(result, out)
    chosen = f" --profile {profile}" if profile else ""
    print(f"\nnext: source .venv/bin/activate && sensorium chat{chosen} --attach {picture}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--profile", help="profile to run with")
    parser.add_argument("--out", type=Path, default=Path("out/demo"), help="where pictures and sound go")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    asyncio.run(main(given.profile, given.out))
