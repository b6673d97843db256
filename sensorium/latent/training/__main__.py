"""One training: `python -m sensorium.latent.training STATE`. The engine starts it; SIGINT keeps what is done."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (torch and its like leave arguments untyped)

from __future__ import annotations

import ctypes
import os
import signal
import sys
from functools import cache
from pathlib import Path

import torch

from sensorium.errors import SensoriumError
from sensorium.latent.bridge_job import TrainingJob
from sensorium.latent.training.endtoend import end_to_end
from sensorium.latent.training.keeping import Keeper
from sensorium.latent.training.map import BridgeMap
from sensorium.latent.training.models import Receiving, Sending
from sensorium.latent.training.pairs import States, token_rows
from sensorium.latent.training.regress import regress, start

__all__ = ["main"]

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> int:
    """Trains, and gives the exit status."""
    if len(arguments) != 1:
        print("usage: python -m sensorium.latent.training STATE", file=sys.stderr)
        return 2
    _heed_signals()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    keeper = None
    try:
        keeper = Keeper(TrainingJob.read(Path(arguments[0])))
        _work(keeper)
    except KeyboardInterrupt:
        if keeper is not None:
            keeper.save_last()
        return 130
    except SensoriumError as error:
        print(error.message, file=sys.stderr)
        return error.exit_code
    return 0


def _heed_signals() -> None:
    """Both signals interrupt, also where the engine's background ignores one; and so does the end of the engine."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _work(keeper: Keeper) -> None:
    job = keeper.job
    torch.manual_seed(job.seed)
    sending = cache(lambda: Sending(job.sender_folder, job.tap))
    states = States(job)
    states.prepare(sending, keeper.tell)
    tokenizer = sending().tokenizer
    receiving = Receiving(job.receiver_folder)
    bridge = BridgeMap(states.states.shape[2], receiving.width, stride=job.stride, hidden=job.hidden)
    rows, counts = token_rows(tokenizer, receiving)
    if keeper.stage == "states":
        start(bridge, states, rows, counts, job.seed)
        keeper.stage = "regress"
        keeper.save(bridge, now=True)
    if keeper.stage == "regress":
        regress(keeper, bridge, states, rows, counts)
        keeper.stage = "end-to-end"
        keeper.save(bridge, now=True)
    if keeper.stage == "end-to-end":
        end_to_end(keeper, bridge, states, receiving, tokenizer.decode)
        keeper.stage = "done"
        keeper.save(bridge, now=True)
    keeper.tell(1.0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
