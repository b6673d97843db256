"""Figures by hand: F1 of tools and links, what is illegal, kinds, samples that are drawn, intervals."""

from __future__ import annotations

from collections import Counter

import pytest

from sensorium.evaluation.outline import Outline
from sensorium.evaluation.sampling import sampled
from sensorium.evaluation.scoring import Score, faults_of, link_score, mean_f1, node_score, wilson

KNOWN = frozenset("ABCD")
LINE = Outline(("A", "B", "C"), (("A", "B"), ("B", "C")))


def test_tools_and_links_are_counted_once_and_summed_over_samples() -> None:
    proposed = Outline(("A", "B", "B", "D"), (("A", "B"), ("A", "B"), ("B", "D")))
    node, link = node_score(proposed, LINE, KNOWN), link_score(proposed, LINE)
    assert node == Score(both=2, proposed=3, gold=3)
    assert link == Score(both=1, proposed=2, gold=2)
    assert (node.precision, node.recall, node.f1) == (2 / 3, 2 / 3, 2 / 3)
    second = node_score(Outline(("A",)), Outline(("A",)), KNOWN)
    assert (node + second) == Score(both=3, proposed=4, gold=4)
    assert (node + second).f1 == 0.75
    assert mean_f1([node, second]) == pytest.approx(5 / 6)


def test_a_plan_without_links_where_there_should_be_none_is_right() -> None:
    assert link_score(Outline(("A",)), Outline(("A",))).f1 == 1.0
    assert link_score(Outline(), LINE).f1 == 0.0
    assert node_score(Outline(), LINE, KNOWN) == Score(0, 0, 3)
    assert mean_f1([]) == 0.0


def test_a_tool_that_is_not_there_is_no_false_tool_but_an_illegal_one() -> None:
    proposed = Outline(("A", "Z"), (("A", "Z"),))
    assert node_score(proposed, Outline(("A",)), KNOWN) == Score(1, 1, 1)
    assert faults_of(proposed, KNOWN, None) == ("there is no tool 'Z'",)


ILLEGAL = [
    (Outline(("A", "B"), (("A", "B"),)), ()),
    (Outline(("A", "B"), (("B", "A"),)), ("'A' cannot take what 'B' gives",)),
    (Outline(("A",), (("A", "B"),)), ("a link of 'B', which is not in the plan",)),
    (Outline(("A", "A"), (("A", "A"),)), ("'A' cannot take what 'A' gives",)),
    (Outline(), ()),
]


@pytest.mark.parametrize(("plan", "faults"), ILLEGAL)
def test_what_is_illegal_is_said(plan: Outline, faults: tuple[str, ...]) -> None:
    assert faults_of(plan, KNOWN, frozenset({("A", "B")})) == faults


KINDS = [
    (Outline(("A",)), "single"),
    (LINE, "chain"),
    (Outline(("C", "A", "B"), (("A", "B"), ("B", "C"))), "chain"),
    (Outline(("A", "B")), "dag"),
    (Outline(("A", "B", "C"), (("A", "B"), ("A", "C"))), "dag"),
    (Outline(("A", "B", "C"), (("A", "B"), ("B", "A"))), "dag"),
]


@pytest.mark.parametrize(("plan", "kind"), KINDS)
def test_the_kind_follows_from_the_links(plan: Outline, kind: str) -> None:
    assert plan.kind == kind


def test_tools_come_behind_those_that_feed_them() -> None:
    assert Outline(("C", "B", "A"), (("A", "B"), ("B", "C"))).in_order == ("A", "B", "C")
    looped = Outline(("A", "B"), (("A", "B"), ("B", "A")))
    assert looped.in_order == ("A", "B")
    assert looped.is_cyclic


def test_a_sample_has_each_group_by_its_share_and_is_the_same_again() -> None:
    things = ["a"] * 60 + ["b"] * 30 + ["c"] * 10
    numbered = list(enumerate(things))
    drawn = sampled(numbered, 21, 7, lambda thing: thing[1])
    assert Counter(kind for _, kind in drawn) == {"a": 13, "b": 6, "c": 2}
    assert drawn == sampled(numbered, 21, 7, lambda thing: thing[1])
    assert drawn == sorted(drawn)
    assert drawn != sampled(numbered, 21, 8, lambda thing: thing[1])
    assert sampled(numbered, None, 0, lambda thing: thing[1]) == numbered


WILSON = [(0, 0, 0.0, 1.0), (0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (105, 120, 0.8039, 0.9231)]


@pytest.mark.parametrize(("right", "total", "low", "high"), WILSON)
def test_intervals_are_those_of_wilson(right: int, total: int, low: float, high: float) -> None:
    assert wilson(right, total) == pytest.approx((low, high), abs=5e-4)
