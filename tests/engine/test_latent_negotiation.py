"""Which way a latent goes to its reader, and what is told of the ways that are barred."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from sensorium.latent.negotiation import AT_LEAST, Ladder, Lossy, Sent, Step, negotiate
from sensorium.latent.spaces import CONTEXT, End
from sensorium.spec.graph import WireSpec

READER = End(
    weights="aaaaaaaaaa",
    runtime="torch, cpu, bfloat16",
    chunks=64,
    dtype="bfloat16",
    width=576,
    layers=30,
    kv_heads=3,
    head_width=64,
)
TEN = Sent(CONTEXT, "aaaaaaaaaa", "torch, cpu, bfloat16", 64, positions=10, twin="ten words")
PATCHES = Sent("see.patches", "cccccccccc", "torch", 0, positions=0, twin="a cat")
KV_BYTES, ROW_BYTES, RECIPE_BYTES = 230_400, 11_520, 40
OTHER_WEIGHTS = "its reader has other weights (aaaaaaaa…, not bbbbbbbb…)"
BLIND = "its reader takes text alone"
NO_WORDS = "nothing says the same in words"


def rungs(ladder: Ladder) -> list[str]:
    return [step.rung for step in ladder.steps]


def test_a_position_costs_what_the_models_shape_says() -> None:
    assert (READER.kv_token_bytes, READER.row_bytes) == (23_040, 1_152)
    wide = replace(READER, dtype="float32")
    assert (wide.kv_token_bytes, wide.row_bytes) == (46_080, 2_304)


CASES: list[tuple[str, Sent, End | None, Sequence[Lossy], WireSpec | None, list[str], dict[str, str]]] = [
    ("equal ends", TEN, READER, (), None, ["kv", "recipe", "embeds", "text"], {}),
    (
        "thoughts that came as rows need not be thought again, and have no words",
        replace(TEN, thoughts=3, twin=None),
        READER,
        (),
        None,
        ["kv", "embeds", "recipe"],
        {"text": NO_WORDS},
    ),
    ("an empty text is a twin too", replace(TEN, twin=""), READER, (), None, ["kv", "recipe", "embeds", "text"], {}),
    (
        "foreign rows lie beside the recipe",
        replace(TEN, has_foreign=True),
        READER,
        (),
        None,
        ["kv", "recipe", "embeds", "text"],
        {},
    ),
    (
        "foreign rows and thoughts",
        replace(TEN, thoughts=3, has_foreign=True),
        READER,
        (),
        None,
        ["kv", "recipe", "embeds", "text"],
        {},
    ),
    (
        "other weights",
        replace(TEN, weights="bbbbbbbbbb"),
        READER,
        (),
        None,
        ["text"],
        {"kv": OTHER_WEIGHTS, "recipe": OTHER_WEIGHTS, "embeds": OTHER_WEIGHTS},
    ),
    (
        "another runtime bars keys and values alone",
        TEN,
        replace(READER, runtime="torch, cuda, bfloat16"),
        (),
        None,
        ["recipe", "embeds", "text"],
        {"kv": "computed by torch, cpu, bfloat16, and its reader is torch, cuda, bfloat16"},
    ),
    (
        "so do other chunks",
        TEN,
        replace(READER, chunks=32),
        (),
        None,
        ["recipe", "embeds", "text"],
        {"kv": "read in chunks of 64 tokens, and its reader's are 32"},
    ),
    (
        "the runtime is told first",
        TEN,
        replace(READER, runtime="torch, cuda, bfloat16", chunks=32),
        (),
        None,
        ["recipe", "embeds", "text"],
        {"kv": "computed by torch, cpu, bfloat16, and its reader is torch, cuda, bfloat16"},
    ),
    (
        "weights are told before all",
        replace(TEN, weights="bbbbbbbbbb", chunks=32, runtime="another"),
        READER,
        (),
        None,
        ["text"],
        {"kv": OTHER_WEIGHTS, "recipe": OTHER_WEIGHTS, "embeds": OTHER_WEIGHTS},
    ),
    (
        "a reader of text alone",
        TEN,
        None,
        (),
        None,
        ["text"],
        {"kv": BLIND, "recipe": BLIND, "embeds": BLIND},
    ),
    (
        "a reader of text alone, and no text",
        replace(TEN, twin=None),
        None,
        (Lossy("bridge", 100, 0.99, "over"),),
        None,
        [],
        {"kv": BLIND, "recipe": BLIND, "embeds": BLIND, "bridge": BLIND, "text": NO_WORDS},
    ),
    (
        "a tool's latent without a bridge",
        PATCHES,
        READER,
        (),
        None,
        ["text"],
        {"bridge": "none leads from see.patches to its reader"},
    ),
    ("a tool's latent to a reader of text alone", PATCHES, None, (), None, ["text"], {"bridge": BLIND}),
    (
        "a tool's latent by a bridge",
        PATCHES,
        READER,
        (Lossy("bridge", 100, 0.95, "eyes"),),
        None,
        ["bridge", "text"],
        {},
    ),
    (
        "a bridge between other weights",
        replace(TEN, weights="bbbbbbbbbb"),
        READER,
        (Lossy("bridge", 100, 0.95, "over"),),
        None,
        ["bridge", "text"],
        {"kv": OTHER_WEIGHTS, "recipe": OTHER_WEIGHTS, "embeds": OTHER_WEIGHTS},
    ),
    (
        "lossless ways come before lossy ones",
        TEN,
        READER,
        (Lossy("kv/int8", 50, 1.0, "int8"), Lossy("bridge", 10, 1.0, "over")),
        None,
        ["kv", "recipe", "embeds", "kv/int8", "bridge", "text"],
        {},
    ),
    (
        "no card",
        PATCHES,
        READER,
        (Lossy("bridge", 1, None, "new"),),
        None,
        ["text"],
        {"bridge": "no card of bridge new holds for these two ends"},
    ),
    ("a card at what is usual", PATCHES, READER, (Lossy("bridge", 1, AT_LEAST, "eyes"),), None, ["bridge", "text"], {}),
    (
        "at_least higher",
        PATCHES,
        READER,
        (Lossy("bridge", 1, 0.95, "eyes"),),
        WireSpec(at_least=0.97),
        ["text"],
        {"bridge": "the card of bridge eyes shows 95%, and the wire wants 97%"},
    ),
    (
        "at_least 0 bars what is worse than nothing",
        PATCHES,
        READER,
        (Lossy("bridge", 1, -0.2, "eyes"),),
        WireSpec(at_least=0),
        ["text"],
        {"bridge": "the card of bridge eyes shows -20%, and the wire wants 0%"},
    ),
    (
        "at_least 0 takes the least",
        PATCHES,
        READER,
        (Lossy("bridge", 1, 0.0, "eyes"),),
        WireSpec(at_least=0),
        ["bridge", "text"],
        {},
    ),
    (
        "at_least 0 still wants a card",
        PATCHES,
        READER,
        (Lossy("bridge", 1, None, "eyes"),),
        WireSpec(at_least=0),
        ["text"],
        {"bridge": "no card of bridge eyes holds for these two ends"},
    ),
    (
        "at_least does not bar what loses nothing",
        TEN,
        READER,
        (),
        WireSpec(at_least=1),
        ["kv", "recipe", "embeds", "text"],
        {},
    ),
    (
        "max_bytes one too few for keys and values",
        TEN,
        READER,
        (),
        WireSpec(max_bytes=KV_BYTES - 1),
        ["recipe", "embeds", "text"],
        {"kv": "230,400 bytes, and the wire takes 230,399"},
    ),
    ("max_bytes just enough", TEN, READER, (), WireSpec(max_bytes=KV_BYTES), ["kv", "recipe", "embeds", "text"], {}),
    (
        "max_bytes for a recipe",
        TEN,
        READER,
        (Lossy("kv/int8", 50, 1.0, "int8"),),
        WireSpec(max_bytes=RECIPE_BYTES),
        ["recipe", "text"],
        {
            "kv": "230,400 bytes, and the wire takes 40",
            "embeds": "11,520 bytes, and the wire takes 40",
            "kv/int8": "50 bytes, and the wire takes 40",
        },
    ),
    (
        "text may always cross",
        replace(TEN, twin="much " * 100),
        READER,
        (),
        WireSpec(max_bytes=1),
        ["text"],
        {
            "kv": "230,400 bytes, and the wire takes 1",
            "recipe": "40 bytes, and the wire takes 1",
            "embeds": "11,520 bytes, and the wire takes 1",
        },
    ),
    (
        "rungs of the wire, in the ladder's own order",
        TEN,
        READER,
        (),
        WireSpec(rungs=["text", "embeds"]),
        ["embeds", "text"],
        {"kv": "the wire allows text, embeds", "recipe": "the wire allows text, embeds"},
    ),
    (
        "a rung that is allowed and barred",
        replace(TEN, weights="bbbbbbbbbb"),
        READER,
        (),
        WireSpec(rungs=["kv"]),
        [],
        {
            "kv": OTHER_WEIGHTS,
            "recipe": "the wire allows kv",
            "embeds": "the wire allows kv",
            "text": "the wire allows kv",
        },
    ),
    (
        "one codec of two",
        TEN,
        READER,
        (Lossy("kv/int8", 50, 1.0, "int8"), Lossy("kv/int4", 25, 0.98, "int4")),
        WireSpec(rungs=["kv/int4"]),
        ["kv/int4"],
        dict.fromkeys(("kv", "recipe", "embeds", "kv/int8", "text"), "the wire allows kv/int4"),
    ),
]


@pytest.mark.parametrize(
    ("sent", "reader", "lossy", "terms", "taken", "barred"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_ways_are_taken_in_order_and_barred_with_a_reason(
    sent: Sent,
    reader: End | None,
    lossy: Sequence[Lossy],
    terms: WireSpec | None,
    taken: list[str],
    barred: dict[str, str],
) -> None:
    ladder = negotiate(sent, reader, lossy, terms)
    assert rungs(ladder) == taken
    assert dict(ladder.refused) == barred


TOLD: list[tuple[str, Sent, End | None, WireSpec | None, list[str]]] = [
    ("nothing, where all hold", TEN, READER, None, ["", "", "", ""]),
    (
        "one reason once, with all its rungs",
        replace(TEN, weights="bbbbbbbbbb"),
        READER,
        None,
        [f"kv, recipe, embeds: {OTHER_WEIGHTS}"],
    ),
    (
        "of the better rungs alone",
        TEN,
        READER,
        WireSpec(rungs=["recipe", "text"]),
        ["kv: the wire allows recipe, text", "kv, embeds: the wire allows recipe, text"],
    ),
    (
        "several reasons, in the ladder's order",
        TEN,
        replace(READER, chunks=32),
        WireSpec(max_bytes=100),
        [
            "kv: 230,400 bytes, and the wire takes 100",
            "kv: 230,400 bytes, and the wire takes 100; embeds: 11,520 bytes, and the wire takes 100",
        ],
    ),
]


@pytest.mark.parametrize(
    ("sent", "reader", "terms", "whys"), [case[1:] for case in TOLD], ids=[case[0] for case in TOLD]
)
def test_each_way_says_why_no_better_one(
    sent: Sent, reader: End | None, terms: WireSpec | None, whys: list[str]
) -> None:
    assert [step.why for step in negotiate(sent, reader, (), terms).steps] == whys


def test_a_way_that_loses_something_says_who_does_it() -> None:
    lossy = (Lossy("bridge", 9, 0.5, "bad"), Lossy("bridge", 9, 0.95, "good"))
    bridge, text = negotiate(PATCHES, READER, lossy).steps
    why = "bridge: the card of bridge bad shows 50%, and the wire wants 90%"
    assert bridge == Step("bridge", why, "good")
    assert text == Step("text", why)


def test_where_a_way_does_not_hold_the_rest_is_left_and_says_so() -> None:
    ladder = negotiate(TEN, replace(READER, chunks=32))
    recipe = ladder.steps[0]
    left = ladder.below(recipe, "its store is gone")
    first = "kv: read in chunks of 64 tokens, and its reader's are 32"
    assert [(step.rung, step.why) for step in left.steps] == [
        ("embeds", f"{first}; recipe: its store is gone"),
        ("text", f"{first}; recipe: its store is gone"),
    ]
    assert left.refused == (*ladder.refused, ("recipe", "its store is gone"))
    assert rungs(ladder) == ["recipe", "embeds", "text"]


def test_falling_goes_down_to_nothing() -> None:
    ladder = negotiate(TEN, READER)
    for rung, whys in (("kv", 1), ("recipe", 2), ("embeds", 3), ("text", 4)):
        assert ladder.steps[0].rung == rung
        ladder = ladder.below(ladder.steps[0], f"no {rung}")
        assert len(ladder.refused) == whys
    assert ladder.steps == ()
    assert ladder.refused == (("kv", "no kv"), ("recipe", "no recipe"), ("embeds", "no embeds"), ("text", "no text"))


def test_falling_past_a_bridge_keeps_who_the_next_is() -> None:
    lossy = (Lossy("bridge", 9, 0.99, "one"), Lossy("bridge", 9, 0.95, "two"))
    ladder = negotiate(PATCHES, READER, lossy)
    left = ladder.below(ladder.steps[0], "its weights are gone")
    assert left.steps[0] == Step("bridge", "bridge: its weights are gone", "two")
