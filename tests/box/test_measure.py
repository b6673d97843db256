"""`sensorium measure` with a real model: what loses nothing loses nothing, and controls bring nothing."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from sensorium.errors import OperatorError
from sensorium.evaluation.wires import Measuring, measure
from sensorium.project import Project

pytestmark = pytest.mark.models

MODEL = "smollm2-135m-transformers"


@pytest.fixture
async def project() -> AsyncGenerator[Project, None]:
    project = Project(None, profile="small")
    try:
        project.checkpoints.directory(MODEL)
    except OperatorError as error:
        pytest.skip(str(error))
    yield project
    await project.close()


async def test_kv_and_recipe_say_what_the_text_says_and_controls_do_not(project: Project, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    wanted = Measuring(models=(MODEL, MODEL), dtype="float32", rungs=("kv", "recipe"), samples=3, out=tmp_path)
    (measured,) = await measure(project, wanted, lambda _, done, total: seen.append((done, total)))
    assert [card.rung for card in measured.cards] == ["recipe", "kv"]
    for card in measured.cards:
        assert (card.bit_equal, card.top1, card.kl) == (1.0, 1.0, 0.0)
        assert card.recovered.mean == pytest.approx(1.0)
        assert card.recovered.low == pytest.approx(1.0)
        assert card.score == card.text_score
        assert max(card.controls.shuffled, card.controls.noise) <= 0.1
        assert card.num_samples == 3
    recipe, kv = measured.cards
    assert 4 <= recipe.bytes_per_token <= 5
    assert kv.bytes_per_token == 2 * 30 * 3 * 64 * 4
    assert seen[-1] == (6, 6)

    assert measured.paths == (), "three samples are too few for a card"

    again: list[tuple[int, int]] = []
    (second,) = await measure(project, wanted, lambda _, done, total: again.append((done, total)))
    assert [card.recovered for card in second.cards] == [card.recovered for card in measured.cards]
    assert again == [(2, 6), (4, 6), (6, 6)], "nothing that was measured is measured again"
