"""How benchmarks print a figure beside its limit, and keep it with its date and the kind of machine."""

from __future__ import annotations

import datetime
import json
import os
import platform
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

__all__ = ["RESULTS", "Figure", "machine_kind", "report"]

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure and what it is to reach."""

    name: str
    value: float
    limit: float
    at_most: bool = True
    """Whether the figure is to stay at or below the limit, rather than at or above."""
    unit: str = ""

    @property
    def holds(self) -> bool:
        """Whether the figure reaches its limit."""
        return self.value <= self.limit if self.at_most else self.value >= self.limit


def machine_kind() -> str:
    """Cores, processor family and whether a GPU is there: what figures may be compared by."""
    gpu = "a GPU" if Path("/proc/driver/nvidia/version").exists() else "no GPU"
    return f"{os.cpu_count()} CPU cores, {platform.machine()}, {gpu}"


def report(benchmark: str, figures: list[Figure], *, folder: Path = RESULTS, **details: object) -> None:
    """Prints each figure with its limit, and writes `FOLDER/BENCHMARK.json`. Exits with 1 if one falls short."""
    for figure in figures:
        sign = "<=" if figure.at_most else ">="
        verdict = "ok" if figure.holds else "FALLS SHORT"
        print(f"{benchmark}: {figure.name} = {figure.value:.4g} {figure.unit} ({sign} {figure.limit:g}) {verdict}")
    folder.mkdir(exist_ok=True)
    record = {
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "machine": machine_kind(),
        "figures": [{**asdict(figure), "holds": figure.holds} for figure in figures],
        "details": details,
    }
    (folder / f"{benchmark}.json").write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n")
    if not all(figure.holds for figure in figures):
        sys.exit(1)
