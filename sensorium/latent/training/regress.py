"""The cheap stage: rows that are near the receiver's own embeddings of the same characters."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (torch and its like leave arguments untyped)

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from sensorium.latent.training.keeping import Keeper
from sensorium.latent.training.map import BridgeMap
from sensorium.latent.training.pairs import LENGTH, States, combined

__all__ = ["regress", "start"]

_SEQUENCES = 32
_RATE = 1e-3
_SHARPNESS = 16.0
_OTHERS = 2048
"""Further embeddings that a row is told apart from."""
_RIDGE = 1e-3
_START_SEQUENCES = 600


def start(bridge: BridgeMap, states: States, rows: torch.Tensor, counts: torch.Tensor, seed: int) -> None:
    """Sets the fixed parts of a map, and its skip to the ridge regression."""
    stride = round(bridge.skip.in_features / len(bridge.mean))
    chance = np.random.default_rng(seed)
    picked = np.sort(chance.permutation(len(states.ids))[:_START_SEQUENCES])
    laid = states.laid(picked, stride)
    flat = laid.flatten(0, 2)
    bridge.mean.copy_(flat.mean(0).half())
    bridge.deviation.copy_(flat.std(0).half().clamp(min=1e-3))
    target, weight = _targets(states, picked, rows, counts, stride)
    known = weight > 0
    target = target[known]
    bridge.scale.copy_(target.std(0).mean().half().expand(target.shape[1]))
    with torch.no_grad():
        normal = bridge.normal(laid)[known]
        wanted = target / bridge.scale
        centre, offset = normal.mean(0), wanted.mean(0)
        normal, wanted = normal - centre, wanted - offset
        gram = normal.T @ normal
        gram.diagonal().add_(_RIDGE * gram.diagonal().mean())
        skip = torch.linalg.solve(gram, normal.T @ wanted).T
        bridge.skip.weight.copy_(skip)
        bridge.outer.bias.copy_(offset - skip @ centre)


def regress(keeper: Keeper, bridge: BridgeMap, states: States, rows: torch.Tensor, counts: torch.Tensor) -> None:
    """Trains until the stage's CPU-minutes are spent."""
    job = keeper.job
    stride = job.stride
    began, ends = keeper.cpu_minutes, job.minutes * (1 - job.end_to_end)
    optimiser = torch.optim.Adam(bridge.parameters(), lr=_RATE, betas=(0.9, 0.98))
    keeper.resume(bridge, optimiser)
    chance = np.random.default_rng([job.seed, keeper.step])
    known = torch.nonzero(counts > 0).flatten()
    for picked in states.batches(min(_SEQUENCES, len(states.ids)), chance):
        share = (keeper.cpu_minutes - began) / max(ends - began, 1e-6)
        if share >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = _RATE * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share)))
        target, weight = _targets(states, picked, rows, counts, stride)
        made = bridge(states.laid(picked, stride))
        loss = _squared(made, target, weight, bridge.scale)
        if stride == 1:
            others = rows[known[torch.randint(len(known), (_OTHERS,))]]
            tokens = torch.from_numpy(states.ids[picked].astype(np.int64))
            loss = loss + 0.3 * _told_apart(made[weight > 0], tokens[weight > 0], rows, others)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        keeper.step += 1
        keeper.positions += len(picked) * LENGTH
        if keeper.step % 10 == 0:
            keeper.tell(share, loss.item())
        if keeper.step % 100 == 0:
            keeper.curve.append({"step": keeper.step, "cpu_minutes": keeper.cpu_minutes, "regress": loss.item()})
        keeper.save(bridge, optimiser)


def _targets(
    states: States, picked: npt.NDArray[np.intp], rows: torch.Tensor, counts: torch.Tensor, stride: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Target rows [sequences, groups, width] and their weights [sequences, groups]."""
    ids = torch.from_numpy(states.ids[picked].astype(np.int64))
    weight = (counts[ids] > 0).float().reshape(len(ids), -1, stride).amin(2)
    return combined(rows[ids], stride), weight


def _squared(made: torch.Tensor, target: torch.Tensor, weight: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    error = ((made - target) / scale).square().mean(-1)
    return (error * weight).sum() / weight.sum()


def _told_apart(made: torch.Tensor, tokens: torch.Tensor, rows: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of each row's own embedding among those of the batch and others drawn at random."""
    unique, place = torch.unique(tokens, return_inverse=True)
    all_rows = functional.normalize(torch.cat([rows[unique], others]), dim=-1)
    return functional.cross_entropy(_SHARPNESS * functional.normalize(made, dim=-1) @ all_rows.T, place)
