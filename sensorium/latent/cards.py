"""Cards: what was measured about a way from one model to another, and the shelf on which they lie.

A card is a JSON file. Its name is the BLAKE3 of both ends' weights, the rung and who carries it, so that other weights
find no card; in it stands the BLAKE3 of all the rest, so that what was damaged or edited does not count.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
from blake3 import blake3

from sensorium.disk import sync
from sensorium.errors import OperatorError

__all__ = ["Card", "CardShelf", "Controls", "Interval", "Place", "card_name"]

_MOST_BYTES = 1 << 20
_NAME_DIGITS = 32

Digest = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{8,128}$")]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Amount = Annotated[float, msgspec.Meta(ge=0)]


class Interval(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mean, and between what it lies in 95 of 100 draws of the samples."""

    mean: float
    low: float
    high: float


class Controls(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Recovered shares where nothing may be recovered."""

    none: float
    """No message: 0 by definition."""
    shuffled: float
    """Another sample's message, by the same way."""
    noise: float
    """Noise of the same norm and shape; for text and ids, words and ids drawn at random."""


class Card(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was measured about a way between two ends. Shares lie between 0 and 1, `recovered` may lie outside."""

    rung: str
    """Such as `kv`, `kv/int8`, `bridge`; also ways that are only measured, such as `kv/middle70`."""
    by: str = ""
    """Name of the bridge or codec."""
    sender: Digest
    """Identity of its weights, as `End.weights`."""
    receiver: Digest
    sender_name: str = ""
    """Its checkpoint, for people."""
    receiver_name: str = ""
    sender_runtime: str
    receiver_runtime: str
    tasks: str
    """Name of the task set."""
    tasks_digest: Digest
    num_samples: Annotated[int, msgspec.Meta(ge=1)]
    recovered: Interval
    """(loss without message - loss with the channel) / (loss without - loss with the text)."""
    by_task: dict[str, Interval] = {}
    """The same for each kind of task."""
    kl: Amount
    """Nats: how far the next token's distribution lies from the text's, mean over forced tokens."""
    top1: Share
    """Forced tokens at which the likeliest is the text's."""
    bit_equal: Share
    """Continuations of which every logit has the text's bits."""
    divergence: Amount
    """Mean token at which a free greedy run leaves the text's; where it never does, its length."""
    score: Share
    """Task score."""
    text_score: Share
    """The text's, beside it."""
    bytes_per_token: Amount
    milliseconds: Amount
    """From the message's arrival until the receiver could say its first word, median."""
    controls: Controls
    date: str
    """UTC, such as 2026-11-22."""
    machine: str
    """Its kind: what milliseconds may be compared by."""
    digest: str = ""
    """BLAKE3 of the rest; filled in when the card is written."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a card is asked for."""

    sender: str
    """Identity of its weights."""
    receiver: str
    rung: str
    by: str = ""

    def __str__(self) -> str:
        way = self.rung if not self.by or self.rung.endswith(f"/{self.by}") else f"{self.rung} {self.by}"
        return f"{way} from {self.sender[:8]}… to {self.receiver[:8]}…"


def card_name(place: Place) -> str:
    """The file's name for a place."""
    told = json.dumps([place.sender, place.receiver, place.rung, place.by])
    return f"{blake3(told.encode()).hexdigest()[:_NAME_DIGITS]}.json"


class CardShelf:
    """Cards in folders; the first folder that has one for a place decides, and new ones go to the first of all.

    Args:
        folders: At least one; they need not be there.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = tuple(folders)

    def find(self, sender: str, receiver: str, rung: str, by: str = "") -> Card | None:
        """The card that holds for two ends, by the identities of their weights; None where none does."""
        found = self._held(Place(sender, receiver, rung, by))
        return found if isinstance(found, Card) else None

    def why_not(self, sender: str, receiver: str, rung: str, by: str = "") -> str:
        """Why no card holds, and what would be right; empty where one does."""
        place = Place(sender, receiver, rung, by)
        found = self._held(place)
        return "" if isinstance(found, Card) else found or self._stale(place)

    def write(self, card: Card) -> Path:
        """The file of a card, which lies in the first folder when this returns, in place of an older one.

        Raises:
            OperatorError: The disk does not let it.
        """
        place = Place(card.sender, card.receiver, card.rung, card.by)
        path = self.folders[0] / card_name(place)
        data = msgspec.json.format(msgspec.json.encode(_sealed(card)), indent=2) + b"\n"
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(prefix=".new-", dir=path.parent)
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(path)
            sync(path.parent)
        except OSError as error:
            raise OperatorError(f"{path} cannot be written: {error.strerror or error}; free some space") from error
        return path

    def _held(self, place: Place) -> Card | str | None:
        """The card, or why it does not count; None where there is none."""
        name = card_name(place)
        found = (folder / name for folder in self.folders if os.path.lexists(folder / name))
        path = next(found, None)
        return None if path is None else _read(path, place)

    def _stale(self, place: Place) -> str:
        """Why there is none: perhaps one is there for other weights at one of the ends."""
        for folder in self.folders:
            for path in sorted(folder.glob("*.json")):
                card = _decoded(path)
                if isinstance(card, Card) and (card.rung, card.by) == (place.rung, place.by):
                    if card.receiver == place.receiver:
                        return _other("sender", card.sender, place.sender)
                    if card.sender == place.sender:
                        return _other("receiver", card.receiver, place.receiver)
        return f"no card of {place} is there; `sensorium measure` makes one"


def _other(end: str, measured: str, there: str) -> str:
    return (
        f"its card was measured with other weights of the {end} ({measured[:8]}…, not {there[:8]}…); run "
        "`sensorium measure` again"
    )


def _read(path: Path, place: Place) -> Card | str:
    card = _decoded(path)
    if isinstance(card, str):
        return card
    if card.digest != _sealed(card).digest:
        return f"the card {path.name} was edited or damaged: its digest is wrong; run `sensorium measure` again"
    asked = Place(card.sender, card.receiver, card.rung, card.by)
    if asked != place:
        return f"the card {path.name} is of {asked}, not of {place}; run `sensorium measure` again"
    if not card.recovered.low <= card.recovered.mean <= card.recovered.high:
        return f"the card {path.name} tells of an interval that does not hold its mean; run `sensorium measure` again"
    return card


def _decoded(path: Path) -> Card | str:
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            return f"the card {path.name} has more than {_MOST_BYTES:,} bytes; run `sensorium measure` again"
        return msgspec.json.decode(data, type=Card)
    except OSError as error:
        return f"the card {path.name} cannot be read: {error.strerror or error}"
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return f"the card {path.name} is none: {error}; run `sensorium measure` again"


def _sealed(card: Card) -> Card:
    """The card with the digest of the rest."""
    rest = msgspec.json.encode(msgspec.structs.replace(card, digest=""))
    return msgspec.structs.replace(card, digest=blake3(rest).hexdigest())
