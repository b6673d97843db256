"""The dear stage: the frozen receiver reads the rows, and has to say the text again or to go on with it."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (torch and its like leave arguments untyped)

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from sensorium.latent.bridge_tasks import TASKS, BridgeTask
from sensorium.latent.training.keeping import Keeper
from sensorium.latent.training.map import BridgeMap
from sensorium.latent.training.models import Receiving
from sensorium.latent.training.pairs import LENGTH, States

__all__ = ["end_to_end"]

Decode: TypeAlias = Callable[[list[int]], str]

_TEXTS = 8
_LENGTHS = (16, 24, 32, 48)
_WARM_STEPS = 10
_REPEATS = 0.75
"""Share of texts that are to be said again."""


def end_to_end(keeper: Keeper, bridge: BridgeMap, states: States, receiving: Receiving, decode: Decode) -> None:
    """Trains until the job's CPU-minutes are spent."""
    job = keeper.job
    began, ends = keeper.cpu_minutes, job.minutes
    optimiser = torch.optim.Adam(bridge.parameters(), lr=job.rate, betas=(0.9, 0.98))
    keeper.resume(bridge, optimiser)
    chance = np.random.default_rng([job.seed, keeper.step])
    usable = np.flatnonzero(~states.is_spliced & (states.next_ids[:, 0] >= 0))
    first = keeper.step
    while (share := (keeper.cpu_minutes - began) / max(ends - began, 1e-6)) < 1:
        warm = min(1.0, (keeper.step - first + 1) / _WARM_STEPS)
        for group in optimiser.param_groups:
            group["lr"] = job.rate * warm * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * share)))
        task = TASKS[0] if chance.random() < _REPEATS else TASKS[1]
        length = int(chance.choice(_LENGTHS))
        picked = np.sort(chance.choice(usable, _TEXTS * LENGTH // max(length, 32) // 2, replace=False))
        loss = _loss(bridge, states, receiving, decode, task, picked, length, job.stride)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(bridge.parameters(), 1.0)
        optimiser.step()
        keeper.step += 1
        keeper.positions += len(picked) * length
        keeper.tell(share, loss.item(), task.name)
        keeper.curve.append({"step": keeper.step, "cpu_minutes": keeper.cpu_minutes, task.name: loss.item()})
        keeper.save(bridge, optimiser)


def _loss(
    bridge: BridgeMap,
    states: States,
    receiving: Receiving,
    decode: Decode,
    task: BridgeTask,
    picked: npt.NDArray[np.intp],
    length: int,
    stride: int,
) -> torch.Tensor:
    """Mean negative log-likelihood of what is forced behind the rows of some texts."""
    laid = states.laid(picked, stride)[:, : length // stride]
    whole = states.ids[picked]
    following = np.concatenate([whole, states.next_ids[picked]], axis=1)[:, length : 2 * length]
    texts = [decode(ids.tolist()) for ids in (following if task.goes_on else whole[:, :length])]
    before, after = receiving.rows(task.before), receiving.rows(task.after)
    prompts = [torch.cat([before, rows, after]) for rows in bridge(laid)]
    return torch.cat(receiving.losses(prompts, [receiving.ids(text) for text in texts])).mean()
