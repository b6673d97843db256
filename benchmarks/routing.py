"""Which tool the assistant calls first, with every tool legal.

    python benchmarks/routing.py [--profile small] [--limit N] [--requests FILE.tsv]

The requests of `routing-fresh.tsv` count: nothing was fitted to them. Those of `routing.tsv` and
`routing-development.tsv` serve the prompt's development. Prints right choices by language and by tool against the
limits, and writes `results/FILE-PROFILE.json`. `sensorium eval` does the same for files of your own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from report import RESULTS, machine_kind

from sensorium.evaluation.choices import ChoicesMeasured, choices_markdown
from sensorium.evaluation.evaluate import Evaluation, choose_first
from sensorium.project import Project

LIMITS = {"small": 0.85, "embedded": 0.92}


def see(done: int, total: int) -> None:
    """A dot for each request."""
    print(".", end="" if done < total else "\n", file=sys.stderr, flush=True)


async def measure(profile: str, requests: Path, limit: int | None) -> ChoicesMeasured:
    """Runs the requests."""
    project = Project(None, profile=profile)
    try:
        return await choose_first(project, Evaluation(requests, limit=limit), see)
    finally:
        await project.close()


def table(measured: ChoicesMeasured) -> dict[str, dict[str, str]]:
    """Right out of all, for each tool and for all, by language."""
    columns = {"en": "en", "zh": "zh", "both": None}
    rows: dict[str, str | None] = {**{tool: tool for tool in measured.tools}, "all": None}
    return {
        name: {
            column: f"{share.right}/{share.total}"
            for column, language in columns.items()
            for share in [measured.share(tool=tool, language=language)]
        }
        for name, tool in rows.items()
    }


def report(requests: Path, profile: str, measured: ChoicesMeasured) -> int:
    """Prints and writes the figures; 0 where the limit is reached and no call was illegal."""
    overall = measured.share()
    limit = LIMITS.get(profile, 0.85)
    print(choices_markdown(measured))
    for choice in measured.choices:
        if not choice.is_right:
            print(f"  {choice.asked.request!r}: {choice.chosen}, right would be {choice.asked.tool}")
    print(f"right first tool {overall.value:.1%} (limit {limit:.0%}); illegal {measured.num_illegal} (limit 0)")
    result = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine_kind(),
        "requests": requests.name,
        "profile": profile,
        "right": overall.value,
        "interval": list(overall.interval),
        "limit": limit,
        "illegal": measured.num_illegal,
        "median_choice_s": measured.median_s,
        "table": table(measured),
    }
    target = RESULTS / f"{requests.stem}-{profile}.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0 if overall.value >= limit and measured.num_illegal == 0 else 1


def main() -> int:
    """Parses, measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="small")
    parser.add_argument("--limit", type=int, help="only so many requests, drawn from each tool and language")
    parser.add_argument("--requests", type=Path, default=Path(__file__).parent / "routing-fresh.tsv")
    given = parser.parse_args()
    return report(given.requests, given.profile, asyncio.run(measure(given.profile, given.requests, given.limit)))


if __name__ == "__main__":
    sys.exit(main())
