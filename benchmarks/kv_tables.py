"""Makes the tables of a checkpoint's KV: `python benchmarks/kv_tables.py --checkpoint NAME --state FOLDER`.

It reads prose of installed packages other than those that `benchmarks/kv_codec.py` measures on. Of each text it keeps
the KV before RoPE, and of some what an error in it costs: the gradients of the loss, with the tokens drawn that the
model itself would say (the Fisher information), when it is to repeat the text and when it goes on with it. The KV is
a little blurred there, since a model that is sure of its next word shows no cost. What was read stays in --state, so a
run goes on where it stopped; learning from it takes minutes. Writes `codecs/NAME/tables.safetensors` and its card.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from kv_codec import TABLES
from kv_task import HEAD, Passage, Reader, passage_of
from numpy.typing import NDArray
from prose import Prose, prose

from sensorium.latent.kv_files import write_tables
from sensorium.latent.kv_learning import learned_tables
from sensorium.latent.kv_shape import Array, KvShape, unrotated
from sensorium.latent.training.models import loaded_identities
from sensorium.project import Project

LEARNED_FROM = (
    *("networkx", "numpy", "stdlib", "langchain_core", "pydantic", "sympy"),
    *("hypothesis", "rich", "pip", "transformers", "torch"),
)
TEXTS, COSTED = 150, 64
"""How many are read, and of how many of these the cost is measured."""
LEAST, MOST = 120, 230
CHARACTERS = 600
BLUR = 0.25
"""Deviation of what is added to a cache before its cost is measured, as a share of each value's own deviation."""


@dataclass(frozen=True, slots=True)
class State:
    """A folder of what was read so far."""

    folder: Path

    def cache(self, number: int) -> Path:
        """float16 [layers, 2, heads, positions, dim], before RoPE, of one text."""
        return self.folder / f"kv{number:03d}.npy"

    @property
    def cost(self) -> Path:
        """The sums of the gradients' outer products, and of which texts."""
        return self.folder / "cost.npz"


def texts(reader: Reader) -> Iterator[Passage]:
    """Passages with what follows them, until enough have a cost; then whatever is long enough."""
    every = [one for package in LEARNED_FROM for one in prose(package, characters=CHARACTERS)]
    random.Random(0).shuffle(every)
    costed = 0
    for one in every:
        found = passage_of(reader, one, least=LEAST, most=MOST)
        if found is not None or costed >= COSTED:
            costed += 1
            yield found or _whole(one)


def _whole(one: Prose) -> Passage:
    return Passage(one.source, one.text, "")


def read(reader: Reader, state: State) -> None:
    """Reads what has not been read yet."""
    state.folder.mkdir(parents=True, exist_ok=True)
    for number, passage in enumerate(islice(texts(reader), TEXTS), 1):
        path = state.cache(number)
        if not path.exists():
            kv = unrotated(reader.kv(reader.ids(HEAD + passage.text)[:MOST]), reader.rope)
            waiting = path.with_suffix(".tmp.npy")
            np.save(waiting, kv.astype(np.float16))
            waiting.replace(path)
        if number <= COSTED:
            _add_cost(reader, state, passage, number)
        print(f"{number} of {TEXTS}: {passage.source}", flush=True)


def _add_cost(reader: Reader, state: State, passage: Passage, number: int) -> None:
    before = np.load(state.cache(number)).astype(np.float32)
    layers, _, heads, positions, dim = before.shape
    width = 2 * heads * dim
    sums, counted, done = np.zeros((2, layers, width, width)), np.zeros(2), 0
    if state.cost.exists():
        kept = np.load(state.cost)
        sums, counted, done = kept["F"], kept["cnt"], int(kept["done"])
    if number <= done:
        return
    rng, drawn = np.random.default_rng(number), torch.Generator().manual_seed(number)
    blur = rng.standard_normal(before.shape).astype(np.float32) * before[:, :, :, 1:].std(axis=3, keepdims=True) * BLUR
    blur[:, :, :, 0] = 0
    for task, forced in enumerate(reader.tasks(passage).values()):
        leaf = torch.tensor(unrotated(before + blur, reader.rope, again=True), requires_grad=True)
        chances = reader.logits(leaf, forced).log_softmax(-1)
        said = torch.multinomial(chances.detach().exp(), 1, generator=drawn)
        (-chances.gather(1, said).sum()).backward()
        assert leaf.grad is not None
        gradient = unrotated(leaf.grad.numpy(), reader.rope)[:, :, :, 1:]
        rows = gradient.transpose(0, 3, 1, 2, 4).reshape(layers, positions - 1, width).astype(np.float64)
        sums[task] += rows.transpose(0, 2, 1) @ rows / forced.scored
        counted[task] += positions - 1
    waiting = state.cost.with_suffix(".tmp.npz")
    np.savez(waiting, F=sums, cnt=counted, done=number)
    os.replace(waiting, state.cost)


def caches(state: State) -> tuple[Array, Array, KvShape]:
    """What was read: float16 [layers, positions, width] without first positions, [layers, width] of them, the shape."""
    read_ones = [np.load(path) for path in sorted(state.folder.glob("kv???.npy"))]
    layers, _, heads, _, dim = read_ones[0].shape
    firsts = np.stack([one[:, :, :, 0].reshape(layers, -1) for one in read_ones])
    assert (firsts == firsts[0]).all(), "all texts begin with the same token"
    rows = [one[:, :, :, 1:].transpose(0, 3, 1, 2, 4).reshape(layers, one.shape[3] - 1, -1) for one in read_ones]
    return np.concatenate(rows, axis=1), firsts[0].astype(np.float32), KvShape(layers, heads, 1, dim)


def cost(state: State) -> NDArray[np.float64]:
    """Of an error at one position, both tasks together, [layers, width, width]."""
    kept = np.load(state.cost)
    both: NDArray[np.float64] = kept["F"][0] / kept["cnt"][0] + kept["F"][1] / kept["cnt"][1]
    return both


def card(checkpoint: str, path: Path, positions: int, shape: KvShape) -> dict[str, object]:
    """What stands beside the tables."""
    return {
        "sensorium": 1,
        "name": checkpoint,
        "about": "KV tables for the codecs klt4 to klt0.5, made by benchmarks/kv_tables.py",
        "weights": loaded_identities(Project(None).checkpoints.directory(checkpoint)),
        "shape": {"layers": shape.layers, "heads": shape.heads, "dim": shape.dim},
        "learned_from": {"docstrings_of": list(LEARNED_FROM), "texts": TEXTS, "positions": positions},
        "tables": {
            "file": path.name,
            "bytes": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        },
    }


def main(checkpoint: str, state: State) -> None:
    counted = int(np.load(state.cost)["done"]) if state.cost.exists() else 0
    if len(list(state.folder.glob("kv???.npy"))) < TEXTS or counted < COSTED:
        read(Reader(checkpoint), state)
    rows, first, shape = caches(state)
    tables = learned_tables(rows, first, cost(state), shape)
    folder = TABLES / checkpoint
    path = write_tables(folder, tables)
    told = json.dumps(card(checkpoint, path, rows.shape[1], shape), indent=2)
    (folder / "card.json").write_text(told + "\n")
    print(told)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default="smollm2-135m-transformers")
    parser.add_argument("--state", type=Path, required=True, help="a folder of what was read, some 500 MB")
    said = parser.parse_args()
    main(said.checkpoint, State(said.state))
