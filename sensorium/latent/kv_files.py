"""KV tables on the disk: a safetensors file beside a card that says which weights they are of."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import msgspec
import numpy as np

from sensorium.errors import AuthorError
from sensorium.latent.kv_shape import Array, KvError, KvShape
from sensorium.latent.kv_tables import KvTables, Matrices

__all__ = ["TABLES", "find_tables", "read_tables", "write_tables"]

CARD = "card.json"
TABLES = "tables.safetensors"


def write_tables(folder: Path, tables: KvTables) -> Path:
    """Writes the tables into a folder; the path of the file."""
    numbers = (tables.shape.layers, tables.shape.heads, tables.shape.dim, tables.first_step, tables.lowest_class)
    arrays: dict[str, Array] = {
        "numbers": np.array(numbers, np.int32),
        "mean": tables.mean.astype(np.float16),
        "first": tables.first.astype(np.float16),
        "spreads": tables.spreads.astype(np.int16),
        "rates": tables.rates.astype(np.float32),
        "frequencies": tables.frequencies.astype(np.uint16),
    }
    for name, matrices in (("guess", tables.guess), ("basis", tables.basis)):
        arrays |= {name: matrices.values, f"{name}.rows": matrices.rows, f"{name}.columns": matrices.columns}
    from safetensors.numpy import save  # an engine without the box has it not, and needs no tables

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / TABLES
    path.write_bytes(save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))
    return path


class _File(msgspec.Struct):
    sha256: str


class _Card(msgspec.Struct):
    weights: list[str]
    """Identities of one model, once for each element type that it is loaded in."""
    tables: _File


def find_tables(folders: Iterable[Path], weights: str) -> KvTables | None:
    """The tables of these very weights, among folders each with a card; None where there are none.

    Raises:
        AuthorError: A card cannot be read, or its tables are not those that it tells of.
    """
    for folder in folders:
        path = folder / CARD
        try:
            card = msgspec.json.decode(path.read_bytes(), type=_Card)
            found = hashlib.sha256((folder / TABLES).read_bytes()).hexdigest() if weights in card.weights else ""
        except (OSError, msgspec.DecodeError) as error:
            raise AuthorError(f"{path} tells of no KV tables ({error}); benchmarks/kv_tables.py makes them") from error
        if weights in card.weights:
            if found != card.tables.sha256:
                raise AuthorError(f"{folder / TABLES} has the sha256 {found}, and its card {card.tables.sha256}")
            return read_tables(folder)
    return None


def read_tables(folder: Path) -> KvTables:
    """The tables of a folder.

    Raises:
        AuthorError: The file cannot be read, or does not hold KV tables.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    path = folder / TABLES
    try:
        arrays: dict[str, Array] = load(path.read_bytes())
        layers, heads, dim, first_step, lowest_class = (int(number) for number in arrays["numbers"])
        guess, basis = (
            Matrices(arrays[name], arrays[f"{name}.rows"], arrays[f"{name}.columns"]) for name in ("guess", "basis")
        )
        return KvTables(
            shape=KvShape(layers, heads, 1, dim).checked(),
            mean=arrays["mean"].astype(np.float32),
            first=arrays["first"].astype(np.float32),
            guess=guess,
            basis=basis,
            spreads=arrays["spreads"],
            rates=arrays["rates"],
            first_step=first_step,
            frequencies=arrays["frequencies"],
            lowest_class=lowest_class,
        ).checked()
    except (OSError, SafetensorError, KeyError, ValueError, KvError) as error:
        raise AuthorError(f"{path} does not hold KV tables ({error}); benchmarks/kv_tables.py makes them") from error
