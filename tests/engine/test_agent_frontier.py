"""Which calls are legal, given the parts at hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from sensorium.agent.frontier import feeds, needs, offer, producers
from sensorium.agent.hand import Hand
from sensorium.agent.toolbox import Card
from sensorium.parts import Audio, Boxes, Image, Masks, Value
from sensorium.spec.ports import PortType, Signature
from sensorium.store import Store


def card(name: str, inputs: dict[str, str], outputs: dict[str, str]) -> Card:
    ports = [{port: PortType.parse(text) for port, text in side.items()} for side in (inputs, outputs)]
    return Card(name, f"Does {name}.", Signature(*ports))


def fed(hand: Hand, kind: str) -> tuple[str | list[str], Value]:
    found = hand.feed(PortType.parse(kind))
    assert found is not None
    return found.written, found.value


SEE = card("see", {"image": "image"}, {"caption": "text"})
FIND = card("find", {"image": "image", "phrase": "text"}, {"boxes": "boxes", "masks": "masks"})
SEGMENT = card("segment", {"image": "image", "boxes": "boxes?", "points": "points?"}, {"masks": "masks"})
OVERLAY = card("overlay", {"image": "image", "masks": "masks?", "boxes": "boxes?"}, {"image": "image"})
TRANSCRIBE = card("transcribe", {"audio": "audio"}, {"text": "text"})
SPEAK = card("speak", {"text": "text", "speed": "number?"}, {"audio": "audio"})
ALBUM = card("album", {"pictures": "[image]"}, {"text": "text"})
ALL = (SEE, FIND, SEGMENT, OVERLAY, TRANSCRIBE, SPEAK, ALBUM)

TYPES = {
    "image": PortType("image"),
    "audio": PortType("audio"),
    "boxes": PortType("boxes"),
    "masks": PortType("masks"),
}


@pytest.fixture
def parts(tmp_path: Path) -> dict[str, Value]:
    blob = Store(tmp_path).put(b"bytes", "application/octet-stream")
    return {
        "image": Image(blob, 4, 4),
        "audio": Audio(blob, 1.0, 16000),
        "boxes": Boxes(((0.0, 0.0, 2.0, 2.0),)),
        "masks": Masks(blob, 1, 4, 4),
    }


@pytest.mark.parametrize(
    ("at_hand", "legal"),
    [
        ([], {"speak"}),
        (["image"], {"see", "find", "speak", "album"}),
        (["audio"], {"transcribe", "speak"}),
        (["image", "boxes"], {"see", "find", "segment", "overlay", "speak", "album"}),
        (["image", "masks"], {"see", "find", "overlay", "speak", "album"}),
        (["image", "audio", "boxes", "masks"], {tool.name for tool in ALL}),
    ],
)
def test_a_tool_is_offered_when_the_parts_at_hand_feed_it(
    parts: dict[str, Value], at_hand: list[str], legal: set[str]
) -> None:
    hand = Hand().given({port: parts[port] for port in at_hand}, TYPES)
    assert {tool.name for tool in ALL if offer(tool, hand) is not None} == legal


def test_required_text_is_written_and_optional_text_is_left_out(parts: dict[str, Value]) -> None:
    hand = Hand().given(parts, TYPES)
    found = offer(FIND, hand)
    spoken = offer(SPEAK, hand)
    assert found is not None
    assert spoken is not None
    assert (set(found.inputs), set(found.to_write)) == ({"image"}, {"phrase"})
    assert (set(spoken.inputs), set(spoken.to_write)) == (set(), {"text"})


def test_an_attached_picture_comes_before_one_that_a_tool_made_and_the_newest_boxes_before_older(
    tmp_path: Path,
) -> None:
    store = Store(tmp_path)
    given, made = (Image(store.put(data, "image/png"), 4, 4) for data in (b"given", b"made"))
    old, new = Boxes(((0.0, 0.0, 1.0, 1.0),)), Boxes(((0.0, 0.0, 2.0, 2.0),))
    hand = Hand().given({"image": given}, TYPES)
    hand = hand.made("find", "find", {"boxes": old}, TYPES)
    hand = hand.made("find-2", "find", {"image": made, "boxes": new}, TYPES)
    assert fed(hand, "image") == ("$image", given)
    assert fed(hand, "boxes") == ("$find-2.boxes", new)
    assert fed(hand, "[image]") == (["$image", "$find-2.image"], (given, made))


def test_what_is_empty_is_not_at_hand(parts: dict[str, Value]) -> None:
    hand = Hand().given({"image": parts["image"], "boxes": Boxes(())}, TYPES)
    assert offer(SEGMENT, hand) is None
    assert [kind.kind for kind in needs(SEGMENT, hand)[0]] == ["boxes", "points"]


def test_boxes_come_from_a_tool_that_makes_them_out_of_the_picture_not_out_of_words(parts: dict[str, Value]) -> None:
    hand = Hand().given({"image": parts["image"]}, TYPES)
    offers = [made for made in (offer(tool, hand) for tool in ALL) if made is not None]
    assert [made.card.name for made in producers(needs(SEGMENT, hand)[0], offers)] == ["find"]
    assert producers(needs(TRANSCRIBE, hand)[0], offers) == []  # speech that was made up is not what was said


def test_a_part_feeds_one_port_of_a_call_and_a_second_one_only_where_it_would_go_without(tmp_path: Path) -> None:
    store = Store(tmp_path)
    old, new = (Image(store.put(data, "image/png"), 4, 4) for data in (b"old", b"new"))
    compare = card("compare", {"one": "image", "other": "image"}, {"same": "flag"})
    hand = Hand().made("a", "paint", {"image": old}, TYPES)
    assert {port: found.written for port, found in feeds(compare, hand).items()} == {
        "one": "$a.image",
        "other": "$a.image",
    }
    hand = hand.made("b", "paint", {"image": new}, TYPES)
    assert {port: found.written for port, found in feeds(compare, hand).items()} == {
        "one": "$b.image",
        "other": "$a.image",
    }


def test_a_tool_with_declared_links_takes_from_those_alone_and_of_any_kind() -> None:
    data = {"result": PortType("data")}
    after = Card("pay", "Pays.", Signature({"after": PortType.parse("data?")}, data), follows=frozenset({"book"}))
    hand = Hand().planned("search", "search", data)
    assert feeds(after, hand) == {}
    hand = hand.planned("book", "book", data).planned("look", "look", data)
    assert feeds(after, hand)["after"].written == "$book.result"
