"""The bridges of the box, between the real models."""

from __future__ import annotations

from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import pytest

import sensorium
from sensorium.latent.bridge import read_bridge

pytestmark = pytest.mark.models

BOX = Path(__file__).resolve().parents[2]

# What each recovers of four passages, less a margin for other processors.
FLOORS = {
    "qwen2.5-coder-0.5b-to-smollm2-135m": 0.75,
    "smollm2-135m-in-half": 0.45,
    "smollm2-135m-to-qwen2.5-coder-0.5b": 0.7,
}


def passages() -> list[Any]:
    from sensorium.latent.training.measure import Passage

    texts = [" ".join(topics[name].split()) for name in ("lambda", "raise", "naming", "truth")]
    return [Passage(text[:200], text[200:300]) for text in texts]


@pytest.mark.parametrize("name", FLOORS)
def test_a_bridge_recovers_what_its_card_promises_and_shuffled_rows_do_not(name: str) -> None:
    from sensorium.latent.training.measure import measure
    from sensorium.latent.training.models import Receiving, Sending, loaded_identities

    bridge, checkpoints = read_bridge(BOX / "bridges" / name), sensorium.Project.find(BOX).checkpoints
    sender, receiver = bridge.spec.sender, bridge.spec.receiver
    places = {end.model: checkpoints.directory(f"{end.model}-transformers") for end in (sender, receiver)}
    assert {end.model: loaded_identities(places[end.model]) for end in (sender, receiver)} == {
        end.model: end.weights for end in (sender, receiver)
    }
    told = measure(bridge, Sending(places[sender.model], sender.tap), Receiving(places[receiver.model]), passages())
    assert told["repeat"]["bridge"]["recovered"] > FLOORS[name]
    assert told["repeat"]["shuffled"]["recovered"] < 0.1
