"""A plan as TaskBench writes it: which tools, and which feeds which."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Literal, TypeAlias

__all__ = ["Kind", "Link", "Outline"]

Link: TypeAlias = tuple[str, str]
"""The tool that gives, and the tool that takes."""

Kind: TypeAlias = Literal["single", "chain", "dag"]


@dataclass(frozen=True, slots=True)
class Outline:
    """Tools and links by the names that the data gives them."""

    tools: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()

    @property
    def kind(self) -> Kind:
        """`single` for one tool, `chain` where the links make one line through all tools, else `dag`."""
        tools, links = set(self.tools), set(self.links)
        if len(tools) <= 1:
            return "single"
        gives, takes = Counter(source for source, _ in links), Counter(target for _, target in links)
        is_line = len(links) == len(tools) - 1 and max([*gives.values(), *takes.values()], default=0) == 1
        return "chain" if is_line and not self.is_cyclic else "dag"

    @property
    def in_order(self) -> tuple[str, ...]:
        """The tools, each behind those that feed it, else as they stand; as they stand where the links are cyclic."""
        before = {tool: [source for source, target in self.links if target == tool] for tool in self.tools}
        try:
            return tuple(TopologicalSorter(before).static_order())
        except CycleError:
            return self.tools

    @property
    def is_cyclic(self) -> bool:
        """Whether some tool would have to wait for itself."""
        left = set(self.links)
        while left:
            waiting = {target for _, target in left}
            going = {(source, target) for source, target in left if source in waiting}
            if going == left:
                return True
            left = going
        return False
