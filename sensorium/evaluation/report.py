"""Figures as people and as programs read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sensorium.evaluation.figures import Figures
from sensorium.evaluation.planned import PlansMeasured

__all__ = ["markdown_table", "plans_json", "plans_markdown"]

_HEADS = (
    "plans", "samples", "node F1", "edge F1", "illegal at first", "illegal", "no plan", "median s", "total s", "asks",
    "prompt tokens", "reused", "answer tokens",
)  # fmt: skip


def plans_markdown(measured: PlansMeasured) -> str:
    """A table with a row for each kind of plan, and what there is to know beside it."""
    setting = measured.setting
    lines = [
        f"{measured.data}, planned by `--way {setting.way}`:",
        "",
        markdown_table(_HEADS, [_row(kind, figures) for kind, figures in measured.figures.items()]),
    ]
    overall = measured.figures["overall"]
    if measured.gold_links_not_allowed:
        lines += [
            "",
            f"{measured.gold_links_not_allowed} of the {overall.link.gold} edges that are right by the data are not "
            "among the edges that they allow: no legal plan has them.",
        ]
    if overall.failed:
        lines += ["", f"{overall.failed} samples have no plan because the model failed or the request did not fit."]
    return "\n".join(lines)


def plans_json(measured: PlansMeasured) -> dict[str, Any]:
    """The same for programs; shares and F1 lie between 0 and 1."""
    setting = measured.setting
    return {
        "data": measured.data,
        "way": setting.way,
        "model": measured.model,
        "limit": setting.limit,
        "seed": setting.seed,
        "gold_links_not_allowed": measured.gold_links_not_allowed,
        "plans": {kind: _record(figures) for kind, figures in measured.figures.items()},
    }


def markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table: the first column to the left, the others to the right, all cells of a column equally wide."""
    widths = [max(len(row[column]) for row in (heads, *rows)) for column in range(len(heads))]
    rule = [("-" * width if column == 0 else "-" * (width - 1) + ":") for column, width in enumerate(widths)]
    return "\n".join(f"| {' | '.join(_padded(row, widths))} |" for row in (heads, rule, *rows))


def _padded(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [
        cell.ljust(width) if column == 0 else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]


def _row(kind: str, figures: Figures) -> tuple[str, ...]:
    shares = (figures.illegal_at_first, figures.illegal, figures.without_plan)
    return (
        kind,
        str(figures.samples),
        f"{100 * figures.node.f1:.1f}",
        f"{100 * figures.link.f1:.1f}",
        *(f"{100 * share:.1f} %" for share in shares),
        f"{figures.median_s:.2f}",
        f"{figures.total_s:.0f}",
        str(figures.asks),
        *(str(number) for number in (figures.tokens.prompt, figures.tokens.reused, figures.tokens.answer)),
    )


def _record(figures: Figures) -> dict[str, Any]:
    scores = {"node": figures.node, "edge": figures.link}
    return {
        "samples": figures.samples,
        **{f"{name}_f1": score.f1 for name, score in scores.items()},
        **{f"{name}_precision": score.precision for name, score in scores.items()},
        **{f"{name}_recall": score.recall for name, score in scores.items()},
        "mean_node_f1": figures.mean_node_f1,
        "mean_edge_f1": figures.mean_link_f1,
        "illegal_at_first": figures.illegal_at_first,
        "illegal": figures.illegal,
        "without_plan": figures.without_plan,
        "failed": figures.failed,
        "median_s": figures.median_s,
        "total_s": figures.total_s,
        "asks": figures.asks,
        "prompt_tokens": figures.tokens.prompt,
        "reused_tokens": figures.tokens.reused,
        "answer_tokens": figures.tokens.answer,
    }
