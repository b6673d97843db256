"""What a second run costs with warm workers: the command line over the tools' own time, and the demo as a whole.

python benchmarks/second_run.py [--profile NAME]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from report import Figure, report
from skimage.data import data_dir

ROUNDS = 5
DEMO = Path(__file__).parents[1] / "examples" / "03_hear_see_speak.py"


def over_the_tools_s(profile: str, folder: Path) -> float:
    """Seconds of `sensorium run see --fresh` beyond the time of its node."""
    picture = f"image=@{data_dir}/chelsea.png"
    command = [sys.executable, "-m", "sensorium", "run", "see", picture, "--fresh", "--json", "--profile", profile]
    started = time.perf_counter()
    told = subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder)
    taken = time.perf_counter() - started
    return taken - sum(node["seconds"] for node in json.loads(told.stdout)["nodes"])


def demo_s(profile: str, folder: Path) -> float:
    """Seconds of the whole demo."""
    started = time.perf_counter()
    subprocess.run([sys.executable, str(DEMO), "--profile", profile], check=True, capture_output=True, cwd=folder)
    return time.perf_counter() - started


def main(profile: str) -> None:
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package has its byte code
    with tempfile.TemporaryDirectory() as scratch:
        over = [over_the_tools_s(profile, Path(scratch)) for _ in range(ROUNDS + 1)][1:]
        first, second = demo_s(profile, Path(scratch)), demo_s(profile, Path(scratch))
    report(
        "second_run",
        [
            Figure("sensorium run over the tools' own time", statistics.median(over), 1.5, unit="s"),
            Figure("demo, second time", second, 60.0, unit="s"),
        ],
        profile=profile,
        demo_first_s=first,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--profile", default="small", help="profile to run with")
    main(parser.parse_args().profile)
