"""Real language models, asked through their workers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import pytest

from sensorium.checkpoint import Checkpoints
from sensorium.errors import CallerError, OperatorError
from sensorium.host import WorkerHost
from sensorium.latent.sealing import Sealer
from sensorium.latent.spaces import EMBEDS, hidden_space
from sensorium.model import HostedModel, TransformersModel, open_model
from sensorium.model.contract import Ask, Message, Piece, Reply
from sensorium.project import Project
from sensorium.project.folders import home_folder
from sensorium.spec.projectfile import ModelSetting
from sensorium.store import Store

pytestmark = pytest.mark.models

SKY = (Message("system", "Answer in one sentence."), Message("user", "What colour is the sky on a clear day?"))
COLOUR: dict[str, Any] = {
    "type": "object",
    "properties": {"colour": {"type": "string", "maxLength": 20}, "is_day": {"type": "boolean"}},
    "required": ["colour", "is_day"],
    "additionalProperties": False,
}
CHECKPOINTS: dict[str, Literal["llamacpp", "transformers"]] = {
    "smollm2-135m": "llamacpp",
    "smollm2-135m-transformers": "transformers",
}


def pulled(name: str) -> tuple[Path, str]:
    """Directory and digest of a checkpoint that is there already."""
    checkpoints = Checkpoints(home_folder(), Project(None).manifests)
    try:
        return checkpoints.directory(name), checkpoints.digest(name)
    except OperatorError as error:
        pytest.skip(str(error))


@pytest.fixture(params=list(CHECKPOINTS))
async def model(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[HostedModel]:
    name: str = request.param
    directory, digest = pulled(name)
    host = WorkerHost(tmp_path, Store(tmp_path / "store"))
    setting = ModelSetting(checkpoint=name, backend=CHECKPOINTS[name], context_tokens=1024)
    sealer = Sealer(Store(tmp_path / "store"), tmp_path)
    model = open_model("central", setting, checkpoint=directory, digest=digest, host=host, keep_warm_s=0, sealer=sealer)
    assert isinstance(model, HostedModel)
    yield model
    await host.unload(model.binding)
    await host.close()


async def reply(model: HostedModel, ask: Ask) -> Reply:
    events = [event async for event in model.ask(ask)]
    last = events[-1]
    assert isinstance(last, Reply)
    if ask.choices is None:
        assert "".join(event.text for event in events if isinstance(event, Piece)) == last.text
    return last


async def test_it_answers_and_the_same_again(model: HostedModel) -> None:
    first = await reply(model, Ask(SKY, max_tokens=16))
    assert first.text
    assert 0 < first.usage.answer_tokens <= 16
    assert first.usage.first_token_s > 0
    assert "What colour is the sky" in model.prompt(Ask(SKY))
    if isinstance(model, TransformersModel):  # llama.cpp computes what it kept in other batches, with other roundings
        assert (await reply(model, Ask(SKY, max_tokens=16))).text == first.text


async def test_a_beginning_that_was_read_is_not_read_again(model: HostedModel) -> None:
    long = Message("system", "You name colours. " * 40)
    await reply(model, Ask((long, Message("user", "The sky?")), max_tokens=1))
    second = await reply(model, Ask((long, Message("user", "Grass?")), max_tokens=1))
    assert second.usage.cached_tokens >= 0.7 * second.usage.prompt_tokens


async def test_choices_and_schemas_hold(model: HostedModel) -> None:
    chosen = await reply(model, Ask(SKY, choices=("red", "blue", "blue-ish", "猫")))
    assert chosen.text in ("red", "blue", "blue-ish", "猫")
    assert chosen.scores[chosen.text] == max(chosen.scores.values())
    assert set(chosen.scores) == {"red", "blue", "blue-ish", "猫"}
    written = json.loads((await reply(model, Ask(SKY, max_tokens=60, schema=COLOUR))).text)
    assert set(written) == {"colour", "is_day"}
    assert isinstance(written["is_day"], bool)


async def test_keys_are_written_in_the_schemas_order(model: HostedModel) -> None:
    for names in (["is_day", "colour"], ["colour", "is_day"]):
        properties = {name: COLOUR["properties"][name] for name in names}
        written = await reply(model, Ask(SKY, max_tokens=60, schema={**COLOUR, "properties": properties}))
        assert list(json.loads(written.text)) == names


async def test_stop_texts_and_seeds_hold(model: HostedModel) -> None:
    stopped = await reply(model, Ask(SKY, max_tokens=40, stop=("sky",)))
    assert "sky" not in stopped.text
    drawn = [await reply(model, Ask(SKY, max_tokens=8, temperature=1.5, seed=seed)) for seed in (1, 2, 3)]
    assert len({each.text for each in drawn}) > 1


async def test_what_does_not_fit_says_by_how_much(model: HostedModel) -> None:
    with pytest.raises(CallerError, match=r"the prompt has \d+ tokens, \d+ more than the 1024"):
        await reply(model, Ask((Message("user", "word " * 2000),)))


async def test_a_cancelled_reply_leaves_the_model_ready(model: HostedModel) -> None:
    started = asyncio.Event()

    async def talk() -> None:
        async for _ in model.ask(Ask((Message("user", "Tell a long story about a dog."),), max_tokens=800)):
            started.set()

    talking = asyncio.create_task(talk())
    await started.wait()
    talking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await talking
    assert (await reply(model, Ask(SKY, max_tokens=2))).text


async def test_transformers_gives_the_latents_of_a_text(model: HostedModel) -> None:
    if not isinstance(model, TransformersModel):
        pytest.skip("llama.cpp gives no latents")
    context = (await model.reading("A cat sat on the mat.")).context
    for space in (EMBEDS, hidden_space(30)):
        frame = model.sealer.open((await model.give(context, space)).blob)
        assert (frame.head.space, frame.head.positions) == (space, len(context.load()))
        assert frame.tensors["latent"].shape == (len(context.load()), 576)
