"""Cards: what holds for two ends, and what does not count."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sensorium.errors import OperatorError
from sensorium.latent.cards import Card, CardShelf, Controls, Interval, Place, card_name

A, B, C = "aa" * 32, "bb" * 32, "cc" * 32


def card(**changed: Any) -> Card:
    told = Card(
        rung="kv/int8",
        by="int8",
        sender=A,
        receiver=A,
        sender_runtime="torch",
        receiver_runtime="torch",
        tasks="passages",
        tasks_digest=C,
        num_samples=12,
        recovered=Interval(0.99, 0.97, 1.01),
        kl=0.001,
        top1=0.99,
        bit_equal=0.0,
        divergence=15.5,
        score=0.5,
        text_score=0.5,
        bytes_per_token=11_880.0,
        milliseconds=12.0,
        controls=Controls(0.0, -0.1, -0.4),
        date="2026-11-30",
        machine="2 CPU cores",
    )
    return msgspec.structs.replace(told, **changed)


def test_a_card_that_was_written_holds_for_its_ends_rung_and_codec(tmp_path: Path) -> None:
    shelf = CardShelf([tmp_path / "cards"])
    path = shelf.write(card())
    assert path.name == card_name(Place(A, A, "kv/int8", "int8"))
    found = shelf.find(A, A, "kv/int8", "int8")
    assert found is not None
    assert found == card(digest=found.digest)
    assert shelf.why_not(A, A, "kv/int8", "int8") == ""


def test_a_card_is_looked_for_in_every_folder_and_the_first_decides(tmp_path: Path) -> None:
    shipped, home = CardShelf([tmp_path / "shipped"]), CardShelf([tmp_path / "home"])
    shipped.write(card(score=0.25))
    both = CardShelf([tmp_path / "home", tmp_path / "shipped"])
    found = both.find(A, A, "kv/int8", "int8")
    assert found is not None
    assert found.score == 0.25
    home.write(card(score=0.75))
    found = both.find(A, A, "kv/int8", "int8")
    assert found is not None
    assert found.score == 0.75


def test_a_newer_card_takes_the_place_of_the_older(tmp_path: Path) -> None:
    shelf = CardShelf([tmp_path])
    assert shelf.write(card(kl=0.5)) == shelf.write(card(kl=0.25))
    found = shelf.find(A, A, "kv/int8", "int8")
    assert found is not None
    assert found.kl == 0.25
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ((B, A, "kv/int8", "int8"), r"other weights of the sender \(aaaaaaaa…, not bbbbbbbb…\)"),
        ((A, B, "kv/int8", "int8"), r"other weights of the receiver \(aaaaaaaa…, not bbbbbbbb…\)"),
        ((B, C, "kv/int8", "int8"), "no card of kv/int8 from bbbbbbbb… to cccccccc… is there"),
        ((A, A, "kv/int4", "int4"), "no card of kv/int4 from aaaaaaaa… to aaaaaaaa… is there"),
        ((A, A, "bridge", "deer"), "no card of bridge deer from aaaaaaaa… to aaaaaaaa… is there"),
    ],
)
def test_a_card_of_other_ends_or_another_rung_does_not_count(
    tmp_path: Path, asked: tuple[str, str, str, str], why: str
) -> None:
    shelf = CardShelf([tmp_path / "none", tmp_path])
    CardShelf([tmp_path]).write(card())
    assert shelf.find(*asked) is None
    assert re.search(why, shelf.why_not(*asked))


def edited(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    told = json.loads(path.read_text())
    change(told)
    path.write_text(json.dumps(told))


SPOILED: dict[str, tuple[Callable[[Path], object], str]] = {
    "a better figure": (lambda path: edited(path, lambda told: told["recovered"].update(low=1.0)), "edited or damaged"),
    "other weights": (lambda path: edited(path, lambda told: told.update(sender=B)), "edited or damaged"),
    "another digest": (lambda path: edited(path, lambda told: told.update(digest=C)), "edited or damaged"),
    "no digest": (lambda path: edited(path, lambda told: told.pop("digest")), "edited or damaged"),
    "an unknown key": (lambda path: edited(path, lambda told: told.update(more=1)), "is none"),
    "a share beyond 1": (lambda path: edited(path, lambda told: told.update(top1=1.5)), "is none"),
    "no number": (lambda path: path.write_text(path.read_text().replace("0.001", "NaN")), "is none"),
    "cut off": (lambda path: path.write_bytes(path.read_bytes()[:-20]), "is none"),
    "empty": (lambda path: path.write_bytes(b""), "is none"),
    "no text": (lambda path: path.write_bytes(b"\xff\xfe" * 40), "is none"),
    "too long": (lambda path: path.write_bytes(b" " * (1 << 20) + path.read_bytes()), "has more than"),
    "a folder": (
        lambda path: path.rename(path.with_name("moved")).parent.joinpath(path.name).mkdir(),
        "cannot be read",
    ),
}


@pytest.mark.parametrize("spoil", SPOILED)
def test_what_was_edited_or_damaged_does_not_count(tmp_path: Path, spoil: str) -> None:
    shelf = CardShelf([tmp_path])
    change, why = SPOILED[spoil]
    change(shelf.write(card()))
    assert shelf.find(A, A, "kv/int8", "int8") is None
    assert why in shelf.why_not(A, A, "kv/int8", "int8")


def test_a_card_that_was_moved_to_another_place_does_not_count(tmp_path: Path) -> None:
    shelf = CardShelf([tmp_path])
    shelf.write(card()).rename(tmp_path / card_name(Place(B, B, "kv/int8", "int8")))
    assert shelf.find(B, B, "kv/int8", "int8") is None
    assert "is of kv/int8 from aaaaaaaa… to aaaaaaaa…, not of" in shelf.why_not(B, B, "kv/int8", "int8")


def test_an_interval_without_its_mean_does_not_count(tmp_path: Path) -> None:
    shelf = CardShelf([tmp_path])
    shelf.write(card(recovered=Interval(0.5, 0.9, 1.0)))
    assert shelf.find(A, A, "kv/int8", "int8") is None
    assert "does not hold its mean" in shelf.why_not(A, A, "kv/int8", "int8")


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OperatorError, match="cannot be written"):
        CardShelf([tmp_path / "file" / "cards"]).write(card())
