"""What is left of a message whose KV went through a codec: `python benchmarks/kv_codec.py [--checkpoint NAME]`.

A passage of prose is read behind the opening of a user's turn; its KV is the message. The receiver has no text. It is
made to say the passage again, when asked to, and the sentences that follow the passage in the docstring that it is
from. `recovered` = (NLL without message - NLL with the channel) / (NLL without - NLL with the text), each summed over
all passages, with a 95 % bootstrap interval over passages; `KL` is from the model that read the text, in nats a token.
Bytes are all tensors of a message over its tokens. Results are kept in --state as they come, and a run goes on there.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from kv_task import HEAD, MEASURED, Passage, Reader, nll, passages, shape_of
from report import Figure, report

from sensorium.latent.kv import CODECS, KvTables, decode, encode
from sensorium.latent.kv_files import read_tables
from sensorium.latent.kv_shape import Floats
from sensorium.project.folders import home_folder

PASSAGES = 24
LEAST, MOST = 140, 230
CHARACTERS = 900
TASKS = ("copy", "next")
SHARES = (0.7, 0.5, 0.3)
GOALS = {"klt4": 99.5, "klt3": 95.0}
STATE = home_folder() / "benchmarks" / "kv_codec.jsonl"
TABLES = Path(__file__).parents[1] / "codecs"

Row = dict[str, Any]
Channel = Callable[[Floats], tuple[Floats, int]]


def channels(reader: Reader, tables: KvTables) -> dict[str, Channel]:
    """What a cache goes through, by name: the cache behind it, and the bytes that were sent."""

    def through(codec: str) -> Channel:
        def channel(kv: Floats) -> tuple[Floats, int]:
            tensors = encode(codec, kv, reader.rope, tables)
            size = sum(int(tensor.nbytes) for tensor in tensors.values())
            return decode(codec, tensors, reader.rope, tables, shape_of(kv)), size

        return channel

    def middle(share: float) -> Channel:
        def channel(kv: Floats) -> tuple[Floats, int]:
            kept = round(len(kv) * share)
            first = (len(kv) - kept) // 2
            sent = np.zeros_like(kv)
            sent[first : first + kept] = kv[first : first + kept]
            sent[:, :, :, :3] = kv[:, :, :, :3]
            return sent, 2 * kv[:kept].size

        return channel

    learned = [codec for codec in CODECS if codec.startswith("klt")]
    plain = [codec for codec in CODECS if codec not in learned]
    return {
        **{codec: through(codec) for codec in (*learned, *plain)},
        **{f"middle {share:.0%} of layers": middle(share) for share in SHARES},
    }


def rows_of(reader: Reader, passage: Passage, tables: KvTables, done: set[tuple[str, str]]) -> Iterator[Row]:
    """What each channel that is not done yet leaves of a passage."""
    todo = {name: one for name, one in channels(reader, tables).items() if (passage.source, name) not in done}
    if not todo:
        return
    ids = reader.ids(HEAD + passage.text)
    kv, silence = reader.kv(ids), reader.kv(reader.ids(HEAD))
    tasks = reader.tasks(passage)
    whole = {name: reader.log_probabilities(kv, task) for name, task in tasks.items()}
    without = {name: nll(reader.log_probabilities(silence, task), task) for name, task in tasks.items()}
    for channel, through in todo.items():
        arrived, size = through(kv)
        row: Row = {"source": passage.source, "channel": channel, "tokens": len(ids), "bytes": size}
        for name, task in tasks.items():
            heard = reader.log_probabilities(arrived, task)
            kl = float((whole[name].exp() * (whole[name] - heard)).sum())
            row[name] = [without[name], nll(heard, task), nll(whole[name], task), kl, task.scored]
        yield row


def recovered(rows: list[Row], task: str) -> tuple[float, float, float]:
    """Percent over all passages, and the ends of its interval."""
    costs = np.array([row[task][:3] for row in rows])
    draws = np.random.default_rng(0).integers(0, len(rows), (4000, len(rows)))
    sums = costs[draws].sum(axis=1)
    shares = 100 * (sums[:, 0] - sums[:, 1]) / (sums[:, 0] - sums[:, 2])
    all_of_them = costs.sum(axis=0)
    low, high = np.percentile(shares, [2.5, 97.5])
    return float(100 * (all_of_them[0] - all_of_them[1]) / (all_of_them[0] - all_of_them[2])), float(low), float(high)


def summary(rows: list[Row]) -> Row:
    """A line of the table."""
    line: Row = {
        "passages": len(rows),
        "bytes_per_token": sum(r["bytes"] for r in rows) / sum(r["tokens"] for r in rows),
    }
    for task in TASKS:
        share, low, high = recovered(rows, task)
        kl = sum(row[task][3] for row in rows) / sum(row[task][4] for row in rows)
        line[task] = {"recovered": share, "low": low, "high": high, "kl": kl}
    return line


def timings(tables: KvTables, reader: Reader) -> Row:
    """CPU seconds of a core to encode and decode 2,000 positions that are as wide as usual."""
    positions, shape = 2000, tables.shape
    rng = np.random.default_rng(0)
    kv = np.repeat(tables.mean.reshape(shape.layers, 2, shape.heads, 1, shape.dim), positions, axis=3)
    kv = (kv + rng.normal(size=kv.shape) * np.abs(tables.mean).mean()).astype(np.float32)
    took: Row = {}
    for codec in ("int4", "klt4", "klt2", "klt0.5"):
        begun = time.process_time()
        tensors = encode(codec, kv, reader.rope, tables)
        sent = time.process_time()
        decode(codec, tensors, reader.rope, tables, shape_of(kv))
        took[codec] = {"encode_s": sent - begun, "decode_s": time.process_time() - sent}
    return took


def main(checkpoint: str, state: Path, tables_folder: Path, count: int) -> None:
    tables = read_tables(tables_folder)
    state.parent.mkdir(parents=True, exist_ok=True)
    reader = Reader(checkpoint)
    rows: list[Row] = [json.loads(line) for line in state.read_text().splitlines()] if state.exists() else []
    done = {(row["source"], row["channel"]) for row in rows}
    chosen = list(islice(passages(reader, MEASURED, least=LEAST, most=MOST, characters=CHARACTERS), count))
    for number, passage in enumerate(chosen, 1):
        for row in rows_of(reader, passage, tables, done):
            rows.append(row)
            with state.open("a") as file:
                file.write(json.dumps(row) + "\n")
        print(f"{number} of {len(chosen)}: {passage.source}", flush=True)
    told(checkpoint, rows, timings(tables, reader), tables_folder)


def told(checkpoint: str, rows: list[Row], took: Row, tables_folder: Path) -> None:
    """Prints the table, and writes it."""
    names = list(dict.fromkeys(row["channel"] for row in rows))
    lines = {name: summary([row for row in rows if row["channel"] == name]) for name in names}
    print(f"{'':<22}{'B/token':>9}" + "".join(f"{task + ' recovered, %':>30}{'KL':>9}" for task in TASKS))
    for name, line in lines.items():
        cells = "".join(
            f"{line[t]['recovered']:>12.2f} ({line[t]['low']:>6.2f}…{line[t]['high']:>6.2f}) {line[t]['kl']:>9.5f}"
            for t in TASKS
        )
        print(f"{name:<22}{line['bytes_per_token']:>9.0f}{cells}")
    figures = [
        Figure(f"{codec} on {checkpoint}: recovered, copy", lines[codec]["copy"]["recovered"], goal, False, "%")
        for codec, goal in GOALS.items()
        if codec in lines
    ]
    tokens = float(np.mean([row["tokens"] for row in rows]))
    size = sum(path.stat().st_size for path in tables_folder.glob("*.safetensors"))
    name = "kv_codec" if checkpoint.startswith("smollm2") else f"kv_codec-{checkpoint}"
    report(name, figures, channels=lines, tokens_per_message=tokens, tables_bytes=size, cpu_seconds_of_2000_tokens=took)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default="smollm2-135m-transformers")
    parser.add_argument("--tables", type=Path, help="the folder of the tables; codecs/CHECKPOINT where not given")
    parser.add_argument("--state", type=Path, default=STATE, help="a file of lines that a run goes on from")
    parser.add_argument("--passages", type=int, default=PASSAGES)
    said = parser.parse_args()
    main(said.checkpoint, said.state, said.tables or TABLES / said.checkpoint, said.passages)
