"""Cards as a picture: what is recovered against the bytes of a token, a panel for each two models.

matplotlib is an extra and slow to import: it is imported when something is drawn.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

from sensorium.errors import CallerError, OperatorError
from sensorium.latent.cards import Card

__all__ = ["draw", "require_drawable"]

Axes: TypeAlias = Any
Figure: TypeAlias = Any
"""What matplotlib draws on; many of its own types are told in part alone."""

_COLOURS = ("#1b6ca8", "#b5473c", "#3d8b4f", "#8156a8", "#b8860b", "#3a3a3a")
_MARKERS = {"words and ids": "o", "input embeddings": "s", "keys and values": "D", "other": "^"}
_COLUMNS = 2
_TYPE: dict[str, Any] = {"fontsize": 7.5, "color": "#222222"}
_EDGE_PIXELS = 4
_FLOOR, _CEILING = -0.22, 1.5
_ROOM = 2.2
"""Factor by which a panel reaches beyond its marks, for names."""
_CROWD, _NAMES_AT = 0.88, 1.09
"""Marks from this share up are many: their names stand slantwise in a row above them."""
_SLANT, _GAP_PIXELS = 55, 22
_STEPS = ((9, 0), (-9, 0), (9, -11), (-9, -11), (9, 11), (-9, 11), (0, -16), (0, 16), (9, -22), (-9, -22), (0, -28))
"""Where another name may stand, in points from its mark, the best first."""


def require_drawable(path: Path) -> None:
    """Keeps what is measured for minutes from ending without its picture.

    Raises:
        CallerError: The name ends neither in .png nor in .svg, is a folder's, or lies in none.
        OperatorError: matplotlib is not installed, or the folder cannot be written.
    """
    if path.suffix.lower() not in (".png", ".svg"):
        raise CallerError(f"{path} cannot be drawn: give a name that ends in .png or .svg")
    if path.is_dir() or not path.parent.is_dir():
        raise CallerError(f"{path} cannot be drawn: give the name of a file in a folder that is there")
    if not os.access(path.parent, os.W_OK):
        raise OperatorError(f"{path} cannot be written: {path.parent} does not let it; give another")
    if importlib.util.find_spec("matplotlib") is None:
        raise OperatorError("a plot needs matplotlib; install it with: pip install 'sensorium[plot]'")


def draw(cards: Sequence[Card], path: Path) -> None:
    """Writes the picture of one or more cards.

    Raises:
        CallerError: The name ends neither in .png nor in .svg.
        OperatorError: matplotlib is not installed, or the disk does not let the picture be written.
    """
    require_drawable(path)
    import matplotlib as mpl

    settings: Any = mpl  # whose types are told in part
    try:
        with settings.rc_context(
            {"svg.hashsalt": "sensorium", "svg.fonttype": "none", "font.size": 9, "savefig.dpi": "figure"}
        ):
            _drawn(cards).savefig(path)
    except OSError as error:
        raise OperatorError(f"{path} cannot be written: {error.strerror or error}; give another") from error


def _drawn(cards: Sequence[Card]) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Drawing

    by_pair: dict[tuple[str, str], list[Card]] = {}
    for card in cards:
        by_pair.setdefault((card.sender_name, card.receiver_name), []).append(card)
    columns = min(_COLUMNS, len(by_pair))
    rows = -(-len(by_pair) // columns)
    figure: Figure = Drawing(figsize=(4.7 * columns + 0.4, 4.0 * rows + 0.5), dpi=160, layout="constrained")
    FigureCanvasAgg(figure)  # measures how wide words are, also where an SVG is written
    panels: Any = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    every: list[Axes] = list(panels.flat)
    sizes = [card.bytes_per_token for card in cards]
    every[0].set_xscale("log")
    every[0].set_xlim(min(sizes) / _ROOM, max(sizes) * _ROOM)
    every[0].set_ylim(_FLOOR, _CEILING)
    for panel, (pair, those), number in zip(every, by_pair.items(), range(len(by_pair)), strict=False):
        _panel(panel, pair, those, _COLOURS[number % len(_COLOURS)])
    for panel in every[len(by_pair) :]:
        panel.set_axis_off()
    for panel in every[: len(by_pair)]:
        panel.tick_params(labelbottom=True)
    figure.supylabel("recovered share of what the text brings", fontsize=9)
    _legend(figure, every[len(by_pair) :], cards)
    figure.draw_without_rendering()
    for panel, those, number in zip(every, by_pair.values(), range(len(by_pair)), strict=False):
        _label(panel, those, _COLOURS[number % len(_COLOURS)])
    return figure


def _panel(panel: Axes, pair: tuple[str, str], cards: Sequence[Card], colour: str) -> None:
    panel.set_xlabel("bytes per token")
    panel.xaxis.set_major_formatter(_as_bytes)
    panel.set_yticks([share / 5 for share in range(-1, 6)])
    panel.yaxis.set_major_formatter(_as_share)
    for share in (0, 1):
        panel.axhline(share, color="#999999", linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
    panel.grid(visible=True, color="#eeeeee", zorder=0)
    for side in ("top", "right"):
        panel.spines[side].set_visible(False)
    sender, receiver = pair
    panel.set_title(sender if sender == receiver else f"{sender}\nto {receiver}", loc="left", color=colour)
    for card in cards:
        low, mean, high = (_held(share) for share in (card.recovered.low, card.recovered.mean, card.recovered.high))
        marker = "v" if card.recovered.mean < _FLOOR else _MARKERS[_family(card.rung)]
        bars = [[mean - low], [high - mean]]
        told: dict[str, Any] = {"markersize": 5.5, "elinewidth": 1.2, "capsize": 2.5, "zorder": 3}
        panel.errorbar([card.bytes_per_token], [mean], yerr=bars, fmt=marker, color=colour, **told)


def _label(panel: Axes, cards: Sequence[Card], colour: str) -> None:
    """Puts a rung's name beside or above each mark."""
    line = {"arrowstyle": "-", "color": colour, "linewidth": 0.5, "alpha": 0.7, "shrinkA": 0, "shrinkB": 3}
    _label_crowd(panel, [card for card in cards if card.recovered.mean >= _CROWD], line)
    _label_others(panel, cards, line)


def _label_crowd(panel: Axes, cards: Sequence[Card], line: dict[str, Any]) -> None:
    """Names in one row above, in the order of their marks, each a little apart from the next."""
    order = sorted(cards, key=lambda card: (card.bytes_per_token, card.recovered.mean))
    wanted = [_pixels(panel, card)[0] for card in order]
    edge = panel.get_window_extent().x1
    slots: list[float] = []
    for x in wanted:
        slots.append(max(x, slots[-1] + _GAP_PIXELS) if slots else x)
    for place in reversed(range(len(slots))):
        most = edge if place == len(slots) - 1 else slots[place + 1] - _GAP_PIXELS
        slots[place] = min(slots[place], most)
    height = panel.transData.transform((1, _NAMES_AT))[1]
    for card, x in zip(order, slots, strict=True):
        at = panel.transData.inverted().transform((x, height))
        mark = (card.bytes_per_token, _held(card.recovered.mean))
        told: dict[str, Any] = {"rotation": _SLANT, "ha": "left", "va": "bottom", "rotation_mode": "anchor", **_TYPE}
        panel.annotate(_named(card), (at[0], at[1]), (2, 2), textcoords="offset points", annotation_clip=False, **told)
        panel.annotate("", mark, (at[0], at[1]), arrowprops=line)


def _label_others(panel: Axes, cards: Sequence[Card], line: dict[str, Any]) -> None:
    """Names beside their marks, where they cover nothing."""
    from matplotlib.transforms import Bbox

    figure: Figure = panel.get_figure()
    renderer: Any = figure.canvas.get_renderer()
    inside = panel.get_window_extent(renderer).padded(-_EDGE_PIXELS)
    marks = [_pixels(panel, card) for card in cards]
    taken: list[Any] = [Bbox.from_extents(x - 8, low - 5, x + 8, high + 5) for x, low, _, high in marks]
    for number, card in enumerate(cards):
        if card.recovered.mean < _CROWD:
            mark = (card.bytes_per_token, _held(card.recovered.mean))
            note = panel.annotate(_named(card), mark, (0, 0), textcoords="offset points", arrowprops=line, **_TYPE)
            others = [box for place, box in enumerate(taken) if place != number]
            free = (step for step in _STEPS if _is_free(_moved(note, step, renderer), inside, others))
            taken.append(_moved(note, next(free, _STEPS[0]), renderer))


def _pixels(panel: Axes, card: Card) -> tuple[float, float, float, float]:
    """Where a mark stands in the picture: x, and the y of its interval's low end, mean and high end."""
    shares = (card.recovered.low, card.recovered.mean, card.recovered.high)
    places: Any = panel.transData.transform([(card.bytes_per_token, _held(share)) for share in shares])
    return float(places[0][0]), float(places[0][1]), float(places[1][1]), float(places[2][1])


def _is_free(box: Any, inside: Any, others: Sequence[Any]) -> bool:
    """Whether a name may stand in a box: within the picture, and on nothing else."""
    is_inside = inside.x0 <= box.x0 and box.x1 <= inside.x1 and inside.y0 <= box.y0 and box.y1 <= inside.y1
    return bool(is_inside and not any(box.overlaps(other) for other in others))


def _moved(note: Any, step: tuple[int, int], renderer: Any) -> Any:
    """Where a note's words stand, without the line that leads to them, once it was moved."""
    from matplotlib.text import Text

    note.xyann = step
    note.set_va("center")
    note.set_ha("center" if step[0] == 0 else "left" if step[0] > 0 else "right")
    note.update_positions(renderer)
    return Text.get_window_extent(note, renderer)


def _legend(figure: Figure, free: Sequence[Axes], cards: Sequence[Card]) -> None:
    """What the marks mean, in a panel that is free, else below."""
    from matplotlib.lines import Line2D

    there = dict.fromkeys(_family(card.rung) for card in cards)
    marks = {family: _MARKERS[family] for family in _MARKERS if family in there}
    if any(card.recovered.mean < _FLOOR for card in cards):
        marks["below the picture"] = "v"
    handles = [
        Line2D([], [], color="#444444", marker=marker, linestyle="", markersize=5.5, label=name)
        for name, marker in marks.items()
    ]
    if free:
        free[0].legend(handles=handles, loc="center", frameon=False, labelspacing=1.0)
    else:
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)


def _as_bytes(size: float, _: int) -> str:
    return f"{size:,.0f}"


def _as_share(share: float, _: int) -> str:
    return f"{100 * share:.0f} %"


def _held(share: float) -> float:
    """The share as far as the picture reaches."""
    return min(max(share, _FLOOR + 0.04), 1.06)


def _named(card: Card) -> str:
    name = card.rung if not card.by or card.rung.endswith(f"/{card.by}") else f"{card.rung} {card.by}"
    return name if card.recovered.mean >= _FLOOR else f"{name} {100 * card.recovered.mean:.0f} %"


def _family(rung: str) -> str:
    if rung in ("text", "recipe"):
        return "words and ids"
    if rung.startswith("kv") or rung == "thoughts":
        return "keys and values"
    return "input embeddings" if rung.startswith("embeds") else "other"
