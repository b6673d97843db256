"""Which node comes after which."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence

__all__ = ["cycles", "reached", "sorted_nodes"]


def sorted_nodes(dependencies: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Every node after those that it depends on; nodes that are free at the same time keep the mapping's order.

    Nodes on a cycle, and those behind one, come last.
    """
    rank = {node: index for index, node in enumerate(dependencies)}
    names = list(dependencies)
    waiting = {node: len(set(needed)) for node, needed in dependencies.items()}
    takers = _takers(dependencies)
    free = [rank[node] for node, count in waiting.items() if count == 0]
    heapq.heapify(free)
    order: list[str] = []
    while free:
        node = names[heapq.heappop(free)]
        order.append(node)
        for taker in takers[node]:
            waiting[taker] -= 1
            if waiting[taker] == 0:
                heapq.heappush(free, rank[taker])
    placed = set(order)
    return (*order, *(node for node in names if node not in placed))


def _takers(dependencies: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    takers: dict[str, list[str]] = {node: [] for node in dependencies}
    for node, needed in dependencies.items():
        for source in dict.fromkeys(needed):
            takers[source].append(node)
    return takers


def cycles(dependencies: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """One cycle for each knot of nodes that wait for each other; each begins at its first node in the mapping's order.

    A cycle `[a, b]` says that a waits for b, and b for a.
    """
    left = {node: list(dict.fromkeys(needed)) for node, needed in dependencies.items()}
    rank = {node: index for index, node in enumerate(dependencies)}
    found: list[list[str]] = []
    for knot in _knots(left):
        start = min(knot, key=rank.__getitem__)
        if len(knot) > 1 or start in left[start]:
            found.append(_way_back(start, left, set(knot)))
    return found


def _way_back(start: str, dependencies: Mapping[str, Sequence[str]], members: set[str]) -> list[str]:
    """The shortest way from a node to itself."""
    came_from: dict[str, str] = {}
    edge = [start]
    while edge:
        following: list[str] = []
        for node in edge:
            for needed in dependencies[node]:
                if needed == start:
                    way = [node]
                    while way[-1] != start:
                        way.append(came_from[way[-1]])
                    return way[::-1]
                if needed in members and needed not in came_from:
                    came_from[needed] = node
                    following.append(needed)
        edge = following
    raise AssertionError("a knot of nodes has a way back")


def _knots(dependencies: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Strongly connected components (Tarjan 1972), without recursion."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    on_stack: set[str] = set()
    knots: list[list[str]] = []
    for root in dependencies:
        if root in index:
            continue
        work: list[tuple[str, int]] = [(root, 0)]
        while work:
            node, at = work.pop()
            if at == 0:
                index[node] = low[node] = len(index)
                stack.append(node)
                on_stack.add(node)
            needed = dependencies[node]
            if at and needed[at - 1] in on_stack:
                low[node] = min(low[node], low[needed[at - 1]])
            while at < len(needed) and needed[at] in index:
                if needed[at] in on_stack:
                    low[node] = min(low[node], index[needed[at]])
                at += 1
            if at < len(needed):
                work += [(node, at + 1), (needed[at], 0)]
            elif low[node] == index[node]:
                knots.append(_cut(stack, on_stack, node))
    return knots


def _cut(stack: list[str], on_stack: set[str], root: str) -> list[str]:
    knot: list[str] = []
    while True:
        node = stack.pop()
        on_stack.discard(node)
        knot.append(node)
        if node == root:
            return knot


def reached(ends: Iterable[str], dependencies: Mapping[str, Sequence[str]]) -> set[str]:
    """`ends` and everything that they depend on."""
    seen = set(ends)
    waiting = list(seen)
    while waiting:
        for needed in dependencies[waiting.pop()]:
            if needed not in seen:
                seen.add(needed)
                waiting.append(needed)
    return seen
