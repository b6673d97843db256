"""How a checkpoint's KV tables come from what its caches held, and from what an error in them cost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sensorium.latent.kv_learned import rounded
from sensorium.latent.kv_shape import Array, Floats, KvShape
from sensorium.latent.kv_stream import write_stream
from sensorium.latent.kv_tables import CLASS_STEPS, MOST, NODE_STEPS, STEPS, SYMBOLS, KvTables, Matrices

__all__ = ["learned_tables"]

NODES = 14
"""Steps at which spreads are counted, half an octave apart, the coarsest first."""
COARSEST = 0.75
"""Step of the first node, as a share of what a number usually is: about a third of a bit a value."""
OPERATING = 5
"""The node at which layers are guessed from each other: the guess is from what is decoded there."""
EVEN = 0.03
"""How much of the average cost is added to the cost in each direction: an error is never free."""
LOWEST = -12
"""Class of spread below which a number is not written: an eighth of a step."""
HIGHEST = 12
PRIOR = 20.0
COUNTED_POSITIONS = 3000


def learned_tables(caches: Array, first: Floats, cost: NDArray[np.float64], shape: KvShape) -> KvTables:
    """Tables of caches [layers, positions, width] before RoPE, by the cost [layers, width, width] of errors in them.

    `cost` is the second moment of the loss's gradient at a position; `first` [layers, width] is what position 0
    holds.
    """
    coarsest = round(STEPS * np.log2(COARSEST * _usual_number(caches, cost)))
    guess, basis, mean = _matrices(caches, cost, 2.0 ** ((coarsest - OPERATING * NODE_STEPS) / STEPS))
    tables = KvTables(
        shape=shape._replace(positions=1),
        mean=mean,
        first=first,
        guess=guess,
        basis=basis,
        spreads=np.full((NODES, shape.layers * shape.width), 100, np.int16),
        rates=np.arange(NODES, dtype=np.float32),
        first_step=coarsest,
        frequencies=np.ones((HIGHEST - LOWEST + 1, SYMBOLS), np.uint16),
        lowest_class=LOWEST,
    )
    return _counted(tables, caches[:, :: max(1, caches.shape[1] // COUNTED_POSITIONS)].transpose(1, 0, 2))


def _usual_number(caches: Array, cost: NDArray[np.float64]) -> float:
    """The root mean square of a number, where a unit error costs the same in each."""
    squares = [
        np.sum(np.cov(layer[:: max(1, len(layer) // COUNTED_POSITIONS)].astype(np.float64).T) * of_errors)
        / len(of_errors)
        for layer, of_errors in zip(caches, cost, strict=True)
    ]
    return float(np.sqrt(np.mean(squares)))


def _matrices(caches: Array, cost: NDArray[np.float64], size: float) -> tuple[Matrices, Matrices, Floats]:
    layers, positions, width = caches.shape
    mean = caches.astype(np.float32).mean(axis=1)
    guesses, bases = np.zeros((layers, width, width)), np.zeros((layers, width, width))
    held = np.zeros((positions, width), np.float32)
    for layer in range(layers):
        beyond = caches[layer].astype(np.float32) - mean[layer]
        if layer:
            guesses[layer] = _regression(held, beyond)
        guess = held @ Matrices.of(guesses[layer : layer + 1]).layer(0).T
        bases[layer] = _basis(beyond - guess, cost[layer])
        basis = Matrices.of(bases[layer : layer + 1]).layer(0)
        numbers = (beyond - guess) @ np.linalg.inv(basis.astype(np.float64)).astype(np.float32).T
        held = guess + (np.rint(numbers / size) * size).astype(np.float32) @ basis.T
    return Matrices.of(guesses), Matrices.of(bases), mean


def _regression(held: Floats, wanted: Floats) -> NDArray[np.float64]:
    """The map [width, width] from what is held to what is wanted, by ridge regression."""
    moments = (held.T @ held).astype(np.float64)
    ridge = 1e-4 * np.diag(moments) + 1e-9 * np.trace(moments)
    solved: Array = np.linalg.solve(moments + np.diag(ridge), (held.T @ wanted).astype(np.float64))
    return solved.T


def _basis(missed: Floats, cost: NDArray[np.float64]) -> NDArray[np.float64]:
    """Columns that a unit error in costs the same, and whose numbers are uncorrelated, the widest first."""
    cost = cost + np.eye(len(cost)) * EVEN * np.trace(cost) / len(cost)
    values, vectors = np.linalg.eigh(cost)
    root = (vectors * np.sqrt(values)) @ vectors.T
    covariance = (missed.T @ missed).astype(np.float64) / len(missed)
    _, turned = np.linalg.eigh(root @ covariance @ root)
    basis: Array = np.linalg.solve(root, turned[:, ::-1])
    return basis


def _counted(tables: KvTables, sample: Array) -> KvTables:
    """The tables with the spreads of their numbers at each node, how often each symbol comes, and the rates."""
    counts = np.zeros((HIGHEST - LOWEST + 1, SYMBOLS))
    spreads: list[Array] = []
    symbols: list[Array] = []
    for node in range(NODES):
        step = tables.first_step - node * NODE_STEPS
        whole = rounded(sample.astype(np.float32), step, tables)
        spread = np.rint(STEPS / CLASS_STEPS * np.log2(np.maximum(whole.spread, 1e-9))).astype(np.int16)
        spreads.append(spread)
        symbols.append(whole.symbols)
        for one in range(LOWEST, HIGHEST + 1):
            values = whole.symbols[:, spread == one].ravel().clip(-MOST, MOST) + MOST
            counts[one - LOWEST] += np.bincount(values, minlength=SYMBOLS)
    frequencies = _frequencies(counts)
    tables = replace(tables, spreads=np.stack(spreads), frequencies=frequencies)
    return replace(tables, rates=_rates(tables, symbols))


def _frequencies(counts: NDArray[np.float64]) -> Array:
    """Counts, both signs alike, with a little of a two-sided geometric for symbols that were not seen; uint16."""
    distance = np.abs(np.arange(-MOST, MOST + 1))
    spread = 2.0 ** (np.arange(LOWEST, HIGHEST + 1) * CLASS_STEPS / STEPS)
    prior = np.exp(-1.2 * distance / np.maximum(spread, 0.2)[:, None])
    shares = counts + counts[:, ::-1] + PRIOR * prior / prior.sum(axis=1, keepdims=True)
    shares /= shares.sum(axis=1, keepdims=True)
    frequencies: Array = np.maximum(np.rint(shares * 60000), 1).astype(np.uint16)
    return frequencies


def _rates(tables: KvTables, symbols: list[Array]) -> Floats:
    rates: list[float] = []
    for node, whole in enumerate(symbols):
        written = write_stream(whole, tables.classes(tables.first_step - node * NODE_STEPS), tables)
        rates.append(8 * (written["stream"].nbytes + written["beyond"].nbytes) / whole.size)
    return np.array(rates, np.float32)
