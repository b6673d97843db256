"""How often an agent chooses the right tool first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from sensorium.evaluation.first_tool import FirstTool
from sensorium.evaluation.report import markdown_table
from sensorium.evaluation.requests import RightTool
from sensorium.evaluation.scoring import Interval, wilson

__all__ = ["Choice", "ChoicesMeasured", "choices_json", "choices_markdown", "measure_choices"]

_LANGUAGES = {"en": "English", "zh": "Chinese"}


@dataclass(frozen=True, slots=True)
class Choice:
    """A request with the tool that is right for it, and the tool that was chosen."""

    asked: RightTool
    chosen: str

    @property
    def is_right(self) -> bool:
        """Whether the two are one."""
        return self.asked.tool == self.chosen


@dataclass(frozen=True, slots=True)
class Share:
    """Right choices out of all."""

    right: int
    total: int

    @classmethod
    def of(cls, choices: Sequence[Choice]) -> Share:
        """The share of right ones."""
        return cls(sum(choice.is_right for choice in choices), len(choices))

    @property
    def value(self) -> float:
        """Between 0 and 1; 0 where there is none."""
        return self.right / self.total if self.total else 0.0

    @property
    def interval(self) -> Interval:
        """The 95 % interval."""
        return wilson(self.right, self.total)


@dataclass(frozen=True, slots=True)
class ChoicesMeasured:
    """What an agent chose."""

    data: str
    agent: str
    model: str
    """Identity of the model."""
    choices: Sequence[Choice]
    num_illegal: int
    """Choices that were none of those allowed."""
    median_s: float
    """Of one choice; 0 where none was made."""

    def share(self, *, tool: str | None = None, language: str | None = None) -> Share:
        """The share of right choices among the requests for a tool, in a language, or all."""
        return Share.of(
            [
                choice
                for choice in self.choices
                if tool in (None, choice.asked.tool) and language in (None, choice.asked.language)
            ]
        )

    @property
    def tools(self) -> list[str]:
        """The tools that are right for some request, in the order of the data."""
        return list(dict.fromkeys(choice.asked.tool for choice in self.choices))

    @property
    def languages(self) -> list[str]:
        """`en` and `zh`, as far as there are requests in them."""
        return [language for language in _LANGUAGES if self.share(language=language).total]

    @property
    def confusions(self) -> list[tuple[str, str, int]]:
        """Right tool, wrong choice and how often, the most frequent first."""
        wrong = Counter((choice.asked.tool, choice.chosen) for choice in self.choices if not choice.is_right)
        return [(right, chosen, count) for (right, chosen), count in wrong.most_common()]


async def measure_choices(
    data: str, agent: str, requests: Sequence[RightTool], first: FirstTool, see: Callable[[int, int], None]
) -> ChoicesMeasured:
    """What an agent chooses for each request.

    Args:
        data: Name of the file.
        agent: Name of the agent.
        requests: What is asked.
        first: The agent.
        see: Hears how many requests are done, of how many.

    Raises:
        ModelError: The model failed.
        CallerError: A request does not fit into its context.
        OperatorError: It is missing.
    """
    choices: list[Choice] = []
    for number, asked in enumerate(requests, 1):
        choices.append(Choice(asked, await first.choose(asked.request)))
        see(number, len(requests))
    heard = first.heard
    seconds = median(heard.seconds) if heard.seconds else 0.0
    return ChoicesMeasured(data, agent, heard.identity, choices, heard.num_illegal, seconds)


def choices_markdown(measured: ChoicesMeasured) -> str:
    """Tables: right choices by tool and language, and what was taken for what."""
    languages = measured.languages
    heads = ["tool", *(_LANGUAGES[language] for language in languages), "all"]
    rows = [
        [tool, *(_counted(measured.share(tool=tool, language=language)) for language in (*languages, None))]
        for tool in measured.tools
    ]
    total = ["overall", *(_told(measured.share(language=language)) for language in languages), _told(measured.share())]
    lines = [
        f"{measured.data}, the first tool that {measured.agent} chooses (in brackets the 95 % interval):",
        "",
        markdown_table(heads, [*rows, total]),
        "",
        f"median choice {measured.median_s:.2f} s, {measured.num_illegal} illegal",
    ]
    if measured.confusions:
        confused = [[right, chosen, str(count)] for right, chosen, count in measured.confusions]
        lines += ["", markdown_table(["right", "chosen", "requests"], confused)]
    return "\n".join(lines)


def choices_json(measured: ChoicesMeasured) -> dict[str, Any]:
    """The same for programs; shares lie between 0 and 1."""
    return {
        "data": measured.data,
        "agent": measured.agent,
        "model": measured.model,
        "overall": _record(measured.share()),
        "languages": {language: _record(measured.share(language=language)) for language in measured.languages},
        "tools": {tool: _record(measured.share(tool=tool)) for tool in measured.tools},
        "illegal": measured.num_illegal,
        "median_choice_s": measured.median_s,
        "confusions": [
            {"right": right, "chosen": chosen, "requests": count} for right, chosen, count in measured.confusions
        ],
        "wrong": [
            {"request": choice.asked.request, "right": choice.asked.tool, "chosen": choice.chosen}
            for choice in measured.choices
            if not choice.is_right
        ],
    }


def _counted(share: Share) -> str:
    return f"{share.right}/{share.total}"


def _told(share: Share) -> str:
    low, high = share.interval
    return f"{_counted(share)} = {100 * share.value:.1f} % ({100 * low:.1f}–{100 * high:.1f})"


def _record(share: Share) -> dict[str, Any]:
    return {"right": share.right, "total": share.total, "share": share.value, "interval": list(share.interval)}
