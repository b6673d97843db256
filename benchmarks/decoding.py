"""How fast the central model decodes through our own surface, against the bare runtime on the same file.

    python benchmarks/decoding.py [--profile small] [--tokens 96] [--rounds 3]

Both take turns in one run. Prints tokens a second, their ratio and the time to a warm first token against the limits,
and writes `results/decoding-PROFILE.json`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import xllamacpp

from sensorium.model import HostedModel
from sensorium.model.contract import Ask, Message, Piece
from sensorium.model.cores import idle_cores
from sensorium.project import Project

RESULTS = Path(__file__).parent / "results"
LEAST_RATIO = 0.9
FIRST_TOKEN_S = 2.0
STORY = "Tell a long story about a lighthouse keeper and a whale."


@dataclass(frozen=True)
class Speed:
    """One reply."""

    first_s: float
    """Seconds to the first piece."""
    tokens_per_s: float
    """Behind the first piece."""


def bare_server(weights: Path, context_tokens: int) -> Any:
    """The runtime as its own documentation starts it, with as many threads as ours."""
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(weights)
    parameters.n_ctx = context_tokens
    parameters.n_parallel = 1
    parameters.verbosity = -1
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = idle_cores()
    return xllamacpp.Server(parameters)


def bare(server: Any, prompt: str, num_tokens: int) -> Speed:
    """A reply of the bare runtime."""
    times: list[float] = []

    def take(chunk: dict[str, Any]) -> None:
        if "error" in chunk:
            raise RuntimeError(str(chunk["error"]))
        if chunk["choices"][0]["text"]:
            times.append(perf_counter())

    began_s = perf_counter()
    request = {"prompt": prompt, "n_predict": num_tokens, "temperature": 0, "stream": True, "cache_prompt": True}
    server.handle_completions(request, take)
    return _speed(began_s, times)


async def ours(model: HostedModel, ask: Ask) -> Speed:
    """A reply through the model's worker."""
    began_s = perf_counter()
    times = [perf_counter() async for event in model.ask(ask) if isinstance(event, Piece)]
    return _speed(began_s, times)


def _speed(began_s: float, times: list[float]) -> Speed:
    return Speed(times[0] - began_s, (len(times) - 1) / (times[-1] - times[0]))


async def measure(profile: str, num_tokens: int, rounds: int) -> int:
    """Measures; 0 where both limits are met."""
    project = Project(None, profile=profile)
    model = await project.model("central")
    assert isinstance(model, HostedModel), "the profile's central model runs in a worker"
    (weights,) = model.binding.checkpoints["weights"].glob("*.gguf")
    script = project.catalogue.agents["assistant"].prompt.split("\n## ", 1)[0].strip()
    ask = Ask((Message("system", script), Message("user", STORY)), max_tokens=num_tokens)
    server = bare_server(weights, project.profile.models["central"].context_tokens)
    await ours(model, ask)
    bare(server, model.prompt(ask), num_tokens)
    pairs = [(await ours(model, ask), bare(server, model.prompt(ask), num_tokens)) for _ in range(rounds)]
    fresh = [
        await ours(model, Ask((Message("system", script), Message("user", f"What is {n} plus {n}?")), max_tokens=4))
        for n in range(rounds)
    ]
    await project.close()
    return report(profile, pairs, fresh)


def report(profile: str, pairs: list[tuple[Speed, Speed]], fresh: list[Speed]) -> int:
    """Prints and writes the figures."""
    own = statistics.median(pair[0].tokens_per_s for pair in pairs)
    other = statistics.median(pair[1].tokens_per_s for pair in pairs)
    ratio = statistics.median(pair[0].tokens_per_s / pair[1].tokens_per_s for pair in pairs)
    first_s = statistics.median(speed.first_s for speed in fresh)
    print(f"decoding {own:.1f} tokens/s, bare {other:.1f}; ratio {ratio:.2f} (limit {LEAST_RATIO})")
    print(f"first token of a new request, warm: {first_s:.2f} s (limit {FIRST_TOKEN_S})")
    result = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} CPU cores, no GPU",
        "profile": profile,
        "tokens_per_s": own,
        "bare_tokens_per_s": other,
        "ratio": ratio,
        "first_token_s": first_s,
        "limits": {"ratio": LEAST_RATIO, "first_token_s": FIRST_TOKEN_S},
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"decoding-{profile}.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0 if ratio >= LEAST_RATIO and first_s <= FIRST_TOKEN_S else 1


def main() -> int:
    """Parses, measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="small")
    parser.add_argument("--tokens", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    return asyncio.run(measure(given.profile, given.tokens, given.rounds))


if __name__ == "__main__":
    sys.exit(main())
