"""Which way a latent goes to its reader, and why none that is better."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sensorium.latent.spaces import CONTEXT, End
from sensorium.spec.graph import WireSpec

__all__ = ["AT_LEAST", "Ladder", "Lossy", "Sent", "Step", "negotiate"]

AT_LEAST = 0.9
"""The share that a lossy rung has to have recovered, where the wire does not say."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What a sender holds for its reader."""

    space: str
    weights: str
    """Identity of the language model, or of the tool, that made it."""
    runtime: str
    """What computed it."""
    chunks: int
    """Tokens that were read at once."""
    positions: int
    """0 for a tool's latent, which no language model holds as it is."""
    thoughts: int = 0
    """Positions that stand for no token, since they were thought."""
    has_foreign: bool = False
    """Whether rows are among it that came by a bridge."""
    twin: str | None = None
    """Text that says the same."""
    checkpoint: str = ""
    """Digest of the files of its checkpoint; empty where that is not told."""


@dataclass(frozen=True, slots=True)
class Lossy:
    """A way that loses something, and what its card shows."""

    rung: str
    """`bridge`, or `kv/CODEC`."""
    num_bytes: int
    recovered: float | None
    """Lower end of the interval of the recovered share; None where no card holds for these two ends."""
    by: str = ""
    """Name of the bridge or codec."""


@dataclass(frozen=True, slots=True)
class Step:
    """A way that may be taken."""

    rung: str
    why: str
    """Why no better one; empty where there is none."""
    by: str = ""
    """Name of the bridge or codec."""


@dataclass(frozen=True, slots=True)
class Ladder:
    """Ways that may be taken, the best first. Where one turns out not to hold, the next is tried."""

    steps: tuple[Step, ...]
    refused: tuple[tuple[str, str], ...]
    """The rungs that may not be taken, each with the reason."""

    def below(self, failed: Step, why: str) -> Ladder:
        """The ways that are left where `failed` did not hold, and why."""
        rest = self.steps[self.steps.index(failed) + 1 :]
        reason = f"{failed.rung}: {why}"
        steps = tuple(Step(step.rung, "; ".join(filter(None, (step.why, reason))), step.by) for step in rest)
        return Ladder(steps, (*self.refused, (failed.rung, why)))


def negotiate(sent: Sent, reader: End | None, lossy: Sequence[Lossy] = (), terms: WireSpec | None = None) -> Ladder:
    """The ways by which a latent may go to its reader: what its sender offers, and its reader can read.

    Between equal weights, `kv`, `recipe` and `embeds` lose nothing; anything else has to show by a card that it
    recovers enough. The text that says the same comes last.

    Args:
        sent: What the sender holds.
        reader: The language model that reads it; None for one that takes no latents.
        lossy: Ways that lose something and lead to this reader, the best first.
        terms: What the graph says of the wire.
    """
    asked = terms or WireSpec()
    steps: list[Step] = []
    refused: list[tuple[str, str]] = []
    for rung, num_bytes, bar, by in _offers(sent, reader, lossy, asked):
        why = _unwanted(rung, num_bytes, asked) or bar
        if why:
            refused.append((rung, why))
        else:
            steps.append(Step(rung, _told(refused), by))
    return Ladder(tuple(steps), tuple(refused))


def _offers(
    sent: Sent, reader: End | None, lossy: Sequence[Lossy], asked: WireSpec
) -> Iterator[tuple[str, int, str, str]]:
    """Each way with its bytes, with why it is barred, and with who does it; the best first."""
    if sent.positions:
        kv_bytes = sent.positions * (reader.kv_token_bytes if reader else 0)
        recipe = ("recipe", 4 * sent.positions, _differ("recipe", sent, reader), "")
        embeds_bytes = sent.positions * (reader.row_bytes if reader else 0)
        embeds = ("embeds", embeds_bytes, _differ("embeds", sent, reader), "")
        yield "kv", kv_bytes, _differ("kv", sent, reader) or _other_bits(sent, reader), ""
        # A thought that is sent as its row need not be thought again.
        yield from (embeds, recipe) if sent.thoughts and not sent.has_foreign else (recipe, embeds)
    elif sent.space == CONTEXT:
        for rung in ("kv", "recipe", "embeds"):
            yield rung, 0, _MUTE, ""
    elif not lossy:
        yield "bridge", 0, _BLIND if reader is None else f"none leads from {sent.space} to its reader", ""
    least = AT_LEAST if asked.at_least is None else asked.at_least
    for way in lossy:
        bar = _differ("kv", sent, reader) or _other_bits(sent, reader) if way.rung.startswith("kv/") else ""
        yield way.rung, way.num_bytes, bar or _short(way, least) or ("" if reader else _BLIND), way.by
    yield "text", len((sent.twin or "").encode()), "" if sent.twin is not None else "nothing says the same in words", ""


_BLIND = "its reader takes text alone"
_MUTE = "its sender hands on text alone"


def _told(refused: Sequence[tuple[str, str]]) -> str:
    """Reasons, each once, with the rungs that it is told of."""
    by_reason: dict[str, list[str]] = {}
    for rung, reason in refused:
        by_reason.setdefault(reason, []).append(rung)
    return "; ".join(f"{', '.join(rungs)}: {reason}" for reason, rungs in by_reason.items())


def _differ(rung: str, sent: Sent, reader: End | None) -> str:
    if reader is None:
        return _BLIND
    if rung not in reader.reads:
        return f"its reader takes {', '.join(reader.reads)} and text alone"
    is_equal = sent.weights == reader.weights or (not reader.weights and sent.checkpoint == reader.checkpoint != "")
    if not is_equal and not reader.weights:
        return "its reader serves another checkpoint"
    if not is_equal:
        return f"its reader has other weights ({reader.weights[:8]}…, not {sent.weights[:8]}…)"
    return ""


def _other_bits(sent: Sent, reader: End | None) -> str:
    if reader is not None and sent.runtime != reader.runtime:
        return f"computed by {sent.runtime}, and its reader is {reader.runtime}"
    if reader is not None and sent.chunks != reader.chunks:
        return f"read in chunks of {sent.chunks} tokens, and its reader's are {reader.chunks}"
    return ""


def _short(way: Lossy, least: float) -> str:
    name = f"{way.rung} {way.by}" if way.rung == "bridge" else way.rung
    if way.recovered is None:
        return f"no card of {name} holds for these two ends"
    if way.recovered < least:
        return f"the card of {name} shows {way.recovered:.0%}, and the wire wants {least:.0%}"
    return ""


def _unwanted(rung: str, num_bytes: int, asked: WireSpec) -> str:
    if asked.rungs is not None and rung not in asked.rungs:
        return f"the wire allows {', '.join(asked.rungs)}"
    if asked.max_bytes is not None and num_bytes > asked.max_bytes and rung != "text":
        return f"{num_bytes:,} bytes, and the wire takes {asked.max_bytes:,}"
    return ""
