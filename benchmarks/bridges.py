"""What the bridges of the box recover of a text, with controls: `python benchmarks/bridges.py [NAME …] [--card]`.

Passages come from the documentation that Python and scikit-learn carry; no bridge was trained on it. `--card` writes
the figures into the bridges' folders. The table is also written to benchmarks/results/bridges.json.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from pydoc_data.topics import topics

import msgspec
import sklearn
import torch

import sensorium
from sensorium.latent.bridge import Bridge, measured_of, read_bridge
from sensorium.latent.bridge_card import read_card
from sensorium.latent.training.measure import CHANNELS, Passage, measure
from sensorium.latent.training.models import Receiving, Sending, loaded_identities

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "bridges.json"
TEXT_CHARACTERS, FOLLOWING_CHARACTERS = 100, 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="bridges, or folders of bridges; all of the box else")
    parser.add_argument("--passages", type=int, default=24)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--card", action="store_true", help="write card.json into the bridges' folders")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    folders = [Path(name) if Path(name).is_dir() else ROOT / "bridges" / name for name in asked.names]
    folders = folders or sorted(path.parent for path in (ROOT / "bridges").glob("*/bridge.yaml"))
    for folder in folders:
        bridge = read_bridge(folder)
        tasks = measured(bridge, passages(asked.passages))
        results = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
        results[bridge.spec.name] = {"sha256": bridge.spec.sha256, "stride": bridge.spec.stride, "tasks": tasks}
        show(bridge.spec.name, tasks)
        RESULTS.write_text(json.dumps(results, indent=2) + "\n")
        if asked.card:
            card = {"of": msgspec.to_builtins(measured_of(bridge.spec)), "tasks": tasks}
            (folder / "card.json").write_text(json.dumps(card, indent=2) + "\n")
            read_card(folder / "card.json")


def measured(bridge: Bridge, chosen: list[Passage]) -> dict[str, object]:
    """Figures of a bridge between the checkpoints that it was made for."""
    door = sensorium.Project.find(ROOT)
    places = {}
    for end in (bridge.spec.sender, bridge.spec.receiver):
        places[end.model] = door.checkpoints.directory(f"{end.model}-transformers")
        if not set(end.weights) & set(loaded_identities(places[end.model])):
            raise SystemExit(f"{end.model} has other weights here than those that the bridge was made for")
    sending = Sending(places[bridge.spec.sender.model], bridge.spec.sender.tap)
    receiving = Receiving(places[bridge.spec.receiver.model])
    say = lambda done: print(f"\r{bridge.spec.name}: {done}/{len(chosen)}", end="", flush=True)  # noqa: E731
    return measure(bridge, sending, receiving, chosen, on_passage=say)


def passages(count: int) -> list[Passage]:
    """Prose of two documentations, half of one and half of the other where it has so much, cut between words."""
    folder = Path(sklearn.__file__).parent / "datasets" / "descr"
    described = prose("\n\n".join(path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.rst"))))
    language = prose("\n\n".join(topics[name] for name in sorted(topics)))
    found = described[: count // 2]
    found += language[:: max(1, len(language) // (count - len(found)))]
    if len(found) < count:
        raise SystemExit(f"only {len(found)} passages are here")
    return found[:count]


def prose(text: str) -> list[Passage]:
    """Long paragraphs that are mostly letters, each as a passage."""
    found: list[Passage] = []
    for paragraph in dict.fromkeys(re.split(r"\n\s*\n", text)):
        line = re.sub(r"\s+", " ", paragraph.replace("*", "").replace("`", "")).strip()
        letters = sum(letter.isalpha() or letter == " " for letter in line)
        if len(line) < TEXT_CHARACTERS + FOLLOWING_CHARACTERS + 40 or letters < 0.92 * len(line):
            continue
        cut = line.index(" ", TEXT_CHARACTERS)
        end = line.find(" ", cut + FOLLOWING_CHARACTERS)
        found.append(Passage(line[:cut], line[cut : end if end > 0 else None]))
    return found


def show(name: str, tasks: dict[str, object]) -> None:
    print(f"\r{name}")
    for task, figures in tasks.items():
        assert isinstance(figures, dict)
        told = f"  {task:<9} NLL {figures['text']['nll']:.2f} with the text, {figures['none']['nll']:.2f} without"
        for channel in CHANNELS:
            low, high = figures[channel]["interval"]
            told += f" · {channel} {figures[channel]['recovered']:.1%} [{low:.1%}, {high:.1%}]"
        print(told)


if __name__ == "__main__":
    main()
