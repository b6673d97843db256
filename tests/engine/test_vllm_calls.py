"""Calls of tools by the protocol of a server, and what a reply that is none comes to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from sensorium.errors import ModelError
from sensorium.model.contract import Ask, CallOffer, Message, Piece
from tests.engine.flawed_server import call_chunks, chunks, events, fake_server
from tests.engine.test_vllm_client import heard, model_of, reply

PHRASE = {
    "type": "object",
    "properties": {"phrase": {"type": "string"}},
    "required": ["phrase"],
    "additionalProperties": False,
}
NOTHING: dict[str, Any] = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
OFFERS = (CallOffer("find", "Finds a thing.", PHRASE), CallOffer("answer", "Answers.", NOTHING))
ASK = Ask((Message("user", "Where is the cup?"),), calls=OFFERS)


async def test_tools_are_offered_and_the_call_is_one_object() -> None:
    async with fake_server(events(*call_chunks(("find", ['{"phr', 'ase": "cup"}'])))) as server:
        model = model_of(server)
        said = await heard(model, ASK)
    assert said[0] == Piece('{"name": "find", "arguments": {"phrase": "cup"}}')
    (sent,) = server.asked
    assert sent.body["tool_choice"] == "none"
    assert sent.body["structured_outputs"]["json"]["anyOf"][0]["properties"]["name"] == {"enum": ["find"]}
    assert [tool["function"]["name"] for tool in sent.body["tools"]] == ["find", "answer"]
    assert sent.body["tools"][0]["function"]["parameters"] == PHRASE
    assert '"name": "find"' in model.prompt(ASK)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (call_chunks(("send", ["{}"])), "does not fit"),
        (call_chunks(("find", ['{"phrase": "cup"}']), ("find", ['{"phrase": "jug"}'])), "made 2 calls where one"),
        (call_chunks(("answer", ['{"text": "here"}'])), "does not fit"),
        (call_chunks(("find", ["{}"])), "lacks phrase"),
        (call_chunks(("find", ['{"phrase": 3}'])), "does not fit"),
        (call_chunks(("find", ['{"phrase": '])), "not JSON"),
        (chunks("The cup is here."), "not JSON"),
    ],
)
async def test_a_call_that_was_not_offered_is_told(answer: Sequence[str], told: str) -> None:
    async with fake_server(events(*answer)) as server:
        with pytest.raises(ModelError, match=told):
            await reply(model_of(server), ASK)


def test_an_ask_wants_one_thing() -> None:
    with pytest.raises(ValueError, match="no two of them"):
        Ask(ASK.messages, calls=OFFERS, choices=("yes", "no"))
