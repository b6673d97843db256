"""The scripted model holds itself to what it is asked."""

from __future__ import annotations

import pytest

from sensorium.errors import CallerError, ModelError
from sensorium.model.contract import Ask, Message, Piece, Reply
from sensorium.testing import ScriptedModel

HI = (Message("user", "Hi there"),)


async def reply(model: ScriptedModel, ask: Ask) -> Reply:
    events = [event async for event in model.ask(ask)]
    last = events[-1]
    assert isinstance(last, Reply)
    assert "".join(event.text for event in events if isinstance(event, Piece)) == last.text
    return last


async def test_replies_come_in_order_and_then_there_are_none() -> None:
    model = ScriptedModel(["one", "two"])
    assert [(await reply(model, Ask(HI))).text for _ in range(2)] == ["one", "two"]
    with pytest.raises(ModelError, match="has 2 replies and was asked for one more"):
        await reply(model, Ask(HI))


async def test_a_function_sees_what_is_asked() -> None:
    model = ScriptedModel(lambda ask: ask.messages[-1].content.upper())
    assert (await reply(model, Ask(HI))).text == "HI THERE"


@pytest.mark.parametrize(
    ("said", "ask", "message"),
    [
        ("maybe", Ask(HI, choices=("yes", "no")), "said 'maybe'; it may say 'yes', 'no'"),
        ("{", Ask(HI, schema={"type": "object"}), "is not JSON"),
        ("[1]", Ask(HI, schema={"type": "object"}), "reply is .1., not of type object"),
        ('{"a": 1}', Ask(HI, schema={"properties": {"b": {}}, "required": ["b"]}), "reply lacks b"),
        ('{"a": 1, "b": 2}', Ask(HI, schema={"properties": {"a": {}}}), "has b, which the schema does not name"),
        ('{"a": true}', Ask(HI, schema={"properties": {"a": {"type": "number"}}}), "reply.a is True"),
        ('["x"]', Ask(HI, schema={"items": {"enum": ["y"]}}), r"reply\[0\] is 'x', none of"),
        ('"xyz"', Ask(HI, schema={"anyOf": [{"type": "null"}, {"type": "string", "maxLength": 2}]}), "3 characters"),
    ],
)
async def test_what_the_ask_does_not_allow_is_the_models_error(said: str, ask: Ask, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        await reply(ScriptedModel([said]), ask)


async def test_stop_texts_and_the_most_tokens_end_a_reply() -> None:
    assert (await reply(ScriptedModel(["a b. c"]), Ask(HI, stop=(".",)))).text == "a b"
    short = await reply(ScriptedModel(["a b c d"]), Ask(HI, max_tokens=2))
    assert (short.text, short.finish) == ("a b", "length")


async def test_a_prompt_that_is_too_long_says_by_how_much() -> None:
    model = ScriptedModel(["x"], context_tokens=2)
    with pytest.raises(CallerError, match="the prompt has 3 tokens, 1 more than the 2"):
        await reply(model, Ask(HI))
