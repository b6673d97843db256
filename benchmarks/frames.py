"""Frames that anybody may have sent, and the speed of honest ones: `benchmarks/frames.py [--frames N] [--seed S]`.

Limits: of 1,000,000 frames none crashes the reader, none is read otherwise than it was written, memory grows by no more
than twice the cap; 1 GB/s of a core for honest frames of 64 MB, hashed, parsed and looked through for NaN.

Frames are broken in three ways: sealed ones are damaged; heads and bodies are damaged and then sealed with the right
key, so that everything behind the tags meets them; heads are written that say hostile things, in right JSON. A frame
that is taken is held against a second reading, made here from the description of the format, and sealed again.
Throughput is of the thread's own seconds on a core, so that what else the machine does counts little; ratios are of
one round, and their median counts.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from blake3 import blake3
from breaking.breaker import CAP_BYTES, HEAD, KEY, Breaker
from breaking.reading import misread
from report import RESULTS, Figure, report

from sensorium.latent.frame import (
    DTYPES,
    Frame,
    FrameLimits,
    FrameRefused,
    Tensor,
    open_frame,
    read_frame,
    seal,
    seal_to,
)

FRAMES = 1_000_000
LIMITS = FrameLimits(most_body_bytes=CAP_BYTES)
LARGE_EVERY = 5_000
WATCH_EVERY = 200
BENCH_BYTES = 64 << 20
ROUNDS = 15


class Source:
    """A stream over bytes that are not copied."""

    def __init__(self, data: bytes | bytearray) -> None:
        self._data = memoryview(data)

    def readinto(self, buffer: Any, /) -> int:
        taken = min(len(buffer), len(self._data))
        buffer[:taken] = self._data[:taken]
        self._data = self._data[taken:]
        return taken


class Watch:
    """How much memory the process has taken since this was made."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        Path("/proc/self/clear_refs").write_text("5")  # the kernel's own high-water mark begins anew
        self._began = self._process.memory_info().rss
        self.most = 0

    def look(self) -> None:
        self.most = max(self.most, self._process.memory_info().rss - self._began)

    def end(self) -> int:
        """Bytes at the highest, between two looks too."""
        lines = Path("/proc/self/status").read_text().splitlines()
        high = next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))
        return max(self.most, high - self._began)


def attempt(data: bytes | bytearray, way: int) -> Frame:
    """The frame, read in one of the ways. The second takes what usual limits let in, though no memory for it."""
    if way == 0:
        return read_frame(Source(data), KEY, limits=LIMITS)
    if way == 1:
        return read_frame(Source(data), KEY)
    return open_frame(data, KEY, limits=LIMITS)


def judge(data: bytes | bytearray, way: int, counts: Counter[str]) -> Frame | None:
    """Reads one frame, and counts what became of it; the frame, where it was taken."""
    counts["frames"] += 1
    try:
        frame = attempt(data, way)
    except FrameRefused as refused:
        counts["refused by a tag" if "does not bear its tag" in refused.message else "refused"] += 1
        counts["refused without words"] += not refused.message.isprintable() or not 20 < len(refused.message) < 1000
        return None
    except BaseException as crash:
        counts["crashes"] += 1
        print(f"crash: {crash!r:.300} of {bytes(data[:600])!r}", file=sys.stderr)
        return None
    counts["taken"] += 1
    why = misread(memoryview(data)[: frame.size_bytes], frame)
    if why or (way > 1 and frame.size_bytes != len(data)):
        counts["misread"] += 1
        print(f"misread: {why} in {bytes(data[:600])!r}", file=sys.stderr)
    return frame


def fuzz(num: int, seed: int) -> tuple[Counter[str], int]:
    """What became of so many frames, and by how many bytes memory grew at most."""
    chance = random.Random(seed)
    breaker = Breaker(chance)
    large = large_frame(seed)
    counts: Counter[str] = Counter(crashes=0, misread=0, forged=0)
    watch = Watch()
    for number in range(num):
        way = chance.choice((0, 1, 2, 2, 2, 2, 2, 2))
        if number % LARGE_EVERY:
            data, is_sealed = breaker.next()
            frame = judge(data, way, counts)
            counts["forged"] += frame is not None and not is_sealed and data[: frame.size_bytes] not in breaker.sealed
        else:
            at, bits = chance.randrange(len(large)), chance.choice((0, 0, 1, 128, 255))
            large[at] ^= bits
            counts["forged"] += judge(large, way, counts) is not None and bits != 0
            large[at] ^= bits
        if not number % WATCH_EVERY:
            watch.look()
    return counts, watch.end()


def large_frame(seed: int) -> bytearray:
    """A frame as large as the cap lets in."""
    rng = np.random.default_rng(seed)
    half = CAP_BYTES // 2
    floats, codes = rng.standard_normal(half // 4, np.float32), rng.integers(0, 9, half, np.int8)
    return bytearray(seal(HEAD, {"a": floats, "b": codes}, KEY))


class Nowhere:
    """Takes what is written."""

    def write(self, data: Any, /) -> int:
        return len(data)


def rates() -> dict[str, dict[str, list[float]]]:
    """For each type of number and each work, GB/s of a core in each round."""
    rng = np.random.default_rng(0)
    kept: dict[str, dict[str, list[float]]] = {}
    for dtype in ("bfloat16", "float32", "int8"):
        layout = np.dtype(DTYPES[dtype])
        values = rng.standard_normal(BENCH_BYTES // layout.itemsize, np.float32)
        array = (values.view("<u4") >> 16 if dtype == "bfloat16" else values * 20).astype(layout)
        tensors = {"a": Tensor(array, dtype)}
        whole = seal(HEAD, tensors, KEY)
        target = np.empty_like(array)
        works: dict[str, Callable[[], object]] = {
            "memcpy": lambda target=target, array=array: np.copyto(target, array),
            "bare keyed BLAKE3": lambda whole=whole: blake3(whole, key=KEY).digest(),
            "open": lambda whole=whole: open_frame(whole, KEY),
            "read from a stream": lambda whole=whole: read_frame(Source(whole), KEY),
            "seal": lambda tensors=tensors: seal(HEAD, tensors, KEY),
            "seal to a stream": lambda tensors=tensors: seal_to(Nowhere(), HEAD, tensors, KEY),
        }
        kept[dtype] = {name: [] for name in works}
        for _ in range(ROUNDS):
            for name, work in works.items():
                began = time.thread_time()
                work()
                kept[dtype][name].append(BENCH_BYTES / (time.thread_time() - began) / 1e9)
    return kept


def ratio(rounds: dict[str, list[float]], one: str, other: str) -> float:
    """The median of how many times faster `one` was than `other` in the same round."""
    return statistics.median(a / b for a, b in zip(rounds[one], rounds[other], strict=True))


def main(num: int, seed: int, results: Path) -> None:
    kept = rates()
    for dtype, rounds in kept.items():
        for name, speeds in rounds.items():
            print(f"{statistics.median(speeds):6.2f} GB/s a core  {dtype:9} {name}")
    began = time.monotonic()
    counts, grown = fuzz(num, seed)
    for name, count in counts.items():
        print(f"{count:9,} {name}")
    print(f"{grown:9,} bytes of memory taken at most, where the cap is {CAP_BYTES:,}; {time.monotonic() - began:.0f} s")
    figures = [
        Figure("frames that crashed the reader", counts["crashes"], 0),
        Figure("frames taken that nobody sealed", counts["forged"], 0),
        Figure("frames read otherwise than they were written", counts["misread"], 0),
        Figure("frames refused without words", counts["refused without words"], 0),
        Figure("growth of memory", grown / CAP_BYTES, 2.0, unit="x cap"),
    ]
    for dtype, rounds in kept.items():
        figures.append(
            Figure(f"open {dtype}", statistics.median(rounds["open"]), 1.0, at_most=False, unit="GB/s a core")
        )
    figures.append(
        Figure("bare keyed BLAKE3 / open bfloat16", ratio(kept["bfloat16"], "bare keyed BLAKE3", "open"), 2.0)
    )
    medians = {
        dtype: {name: round(statistics.median(speeds), 3) for name, speeds in rounds.items()}
        for dtype, rounds in kept.items()
    }
    ratios = {
        dtype: {name: round(ratio(rounds, "memcpy", name), 3) for name in rounds} for dtype, rounds in kept.items()
    }
    report(
        "frames",
        figures,
        folder=results,
        frames=dict(counts),
        cap_bytes=CAP_BYTES,
        seed=seed,
        gb_per_s_of_a_core=medians,
        times_memcpy=ratios,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=FRAMES)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    main(arguments.frames, arguments.seed, arguments.results)
