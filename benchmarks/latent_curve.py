"""What each rung carries, against its bytes: `python benchmarks/latent_curve.py [--samples 12] [--minutes 40]`.

Three language models, each as its own reader: a passage is read by the one end, and the other is asked about it. For
every rung the share of the text's effect that comes across, with the interval over passages, and the controls. It is
measured in float32: without 16-bit arithmetic in the processor, bfloat16 takes five times as long.

Passages are taken round by round, so that it can be stopped; what lies in `--state` is not measured again. Writes
`results/latent_curve.json` and `../docs/latent-curve.png` of what was measured so far.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from report import RESULTS, Figure, report

from sensorium.evaluation.wire_ends import opened, setting_of
from sensorium.evaluation.wire_figures import card_of
from sensorium.evaluation.wire_measure import LINES, measure_ways
from sensorium.evaluation.wire_plot import draw
from sensorium.evaluation.wire_report import cards_json, cards_markdown
from sensorium.evaluation.wire_tasks import passages
from sensorium.evaluation.wire_ways import ways
from sensorium.latent.cards import Card, CardShelf
from sensorium.project import Project
from sensorium.project.folders import home_folder

MODELS = ("smollm2-135m-transformers", "gemma-3-270m-transformers", "qwen2.5-coder-0.5b-transformers")
ROUNDS = (3, 6, 9, 12, 18, 24, 30)
LOSSLESS = ("recipe", "embeds", "kv")
STATE = home_folder() / "benchmarks" / "latent_curve"
PLOT = Path(__file__).parent.parent / "docs" / "latent-curve.png"


async def measured(model: str, samples: int, state: Path) -> list[Card]:
    """The cards of all ways from a model to itself."""
    project, tasks = Project(None), passages()
    setting = setting_of(project, model, "float32")
    try:
        async with opened(project, (setting, setting)) as pair:
            found = ways(pair)
            lines = await measure_ways(
                pair,
                found,
                tasks,
                num_samples=samples,
                keep=state / LINES,
                see=lambda done, total: print(f"  {model} {done} of {total}", flush=True),
            )
            by_way = {way: [one for one in lines if (one.rung, one.by) == (way.rung, way.by)] for way in found}
            return [card_of(pair, way, tasks, those) for way, those in by_way.items()]
    finally:
        await project.close()


def figures(cards: Sequence[Card]) -> list[Figure]:
    """What has to hold, whatever the models."""
    models = {card.sender_name for card in cards}
    rungs = min(len([card for card in cards if card.sender_name == model]) for model in models)
    bits = min(card.bit_equal for card in cards if card.rung in LOSSLESS)
    control = max(
        max(card.controls.shuffled, card.controls.noise) for card in cards if card.rung in (*LOSSLESS, "text")
    )
    return [
        Figure("models", len(models), 3, at_most=False),
        Figure("rungs of each model", rungs, 12, at_most=False),
        Figure("continuations with the text's bits by recipe, embeds and kv", bits, 1, at_most=False),
        Figure("most that a control of a lossless rung recovers", control, 0.1),
    ]


def main(samples: int, minutes: float, state: Path, shelf: Path | None) -> None:
    until_s = time.monotonic() + 60 * minutes
    state.mkdir(parents=True, exist_ok=True)
    cards: dict[str, list[Card]] = {}
    for count in sorted({min(one, samples) for one in ROUNDS}):
        for model in MODELS:
            if model in cards and time.monotonic() > until_s:
                continue
            cards[model] = asyncio.run(measured(model, count, state))
            print(cards_markdown(cards[model]), flush=True)
    every = [card for those in cards.values() for card in those]
    draw(every, PLOT)
    if shelf is not None:
        for card in every:
            CardShelf([shelf]).write(card)
    report("latent_curve", figures(every), folder=RESULTS, cards=cards_json(every))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=12)
    parser.add_argument("--minutes", type=float, default=240)
    parser.add_argument("--state", type=Path, default=STATE, help="a folder that a run goes on from")
    parser.add_argument("--cards", type=Path, help="a folder that the cards are written into")
    given = parser.parse_args()
    main(given.samples, given.minutes, given.state, given.cards)
