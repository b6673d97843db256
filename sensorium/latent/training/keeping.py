"""State of a training on the disk, the time it may take, and what it tells the engine."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (torch and its like leave arguments untyped)

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from ruamel.yaml import YAML
from safetensors.torch import load_file, save_file

from sensorium.errors import CallerError
from sensorium.latent.bridge import MAX_PARAMETERS
from sensorium.latent.bridge_job import TrainingJob, TrainingKept, TrainingProgress, text_files, write_whole
from sensorium.latent.bridge_weights import write_weights
from sensorium.latent.training.map import BridgeMap
from sensorium.latent.training.models import loaded_identities

__all__ = ["Keeper"]

_SAVE_S = 60.0


class Keeper:
    """Keeps a training: weights, moments of the optimiser, the curve, CPU-minutes; and the bridge itself.

    Args:
        job: The training.
    """

    def __init__(self, job: TrainingJob) -> None:
        self.job = job
        self.stage = "states"
        self.step = 0
        self.positions = 0
        self.curve: list[dict[str, Any]] = []
        self._folder = Path(job.state)
        self._began_cpu_minutes = 0.0
        self._last: tuple[BridgeMap, torch.optim.Optimizer | None] | None = None
        self._last_save_s = time.monotonic()
        if (self._folder / "progress.json").is_file():
            kept = TrainingKept.read(self._folder)
            self.stage, self.step, self.positions = kept.stage, kept.step, kept.positions
            self.curve, self._began_cpu_minutes = kept.curve, kept.cpu_minutes
            if self.stage == "done" and self._began_cpu_minutes < job.minutes:
                self.stage = "end-to-end"

    @property
    def cpu_minutes(self) -> float:
        """Spent so far, earlier runs included."""
        return self._began_cpu_minutes + time.process_time() / 60

    def tell(self, share: float, loss: float = 0.0, note: str = "") -> None:
        """One line of progress on standard output."""
        told = TrainingProgress(self.stage, min(1.0, share), self.step, loss, self.cpu_minutes, note)
        print(json.dumps(asdict(told)), file=sys.stdout, flush=True)

    def resume(self, bridge: BridgeMap, optimiser: torch.optim.Optimizer | None = None) -> bool:
        """Takes over the weights that were kept, and the moments where they are of this stage."""
        path = self._folder / "map.safetensors"
        if not path.is_file():
            return False
        kept = load_file(path)
        bridge.load_state_dict({name[4:]: kept[name] for name in kept if name.startswith("map.")})
        moments = {name: tensor for name, tensor in kept.items() if name.startswith(f"{self.stage}.")}
        if optimiser is not None and moments:
            for index, parameter in enumerate(optimiser.param_groups[0]["params"]):
                own = {name: moments[f"{self.stage}.{index}.{name}"] for name in ("exp_avg", "exp_avg_sq", "step")}
                optimiser.state[parameter] = own
        return True

    def save(self, bridge: BridgeMap, optimiser: torch.optim.Optimizer | None = None, *, now: bool = False) -> None:
        """Keeps everything, once a minute or now; otherwise remembers what `save_last` would keep."""
        self._last = (bridge, optimiser)
        if not now and time.monotonic() - self._last_save_s < _SAVE_S:
            return
        self._last_save_s = time.monotonic()
        arrays = bridge.arrays()
        if not all(np.isfinite(array.astype(np.float16)).all() for array in arrays.values()):
            raise CallerError(
                f"the training of bridge {self.job.name} left what numbers can hold at step {self.step}; what was kept "
                "before is untouched: begin again with a lower --rate, or other texts"
            )
        tensors = {f"map.{name}": tensor.contiguous() for name, tensor in bridge.state_dict().items()}
        if optimiser is not None:
            for index, parameter in enumerate(optimiser.param_groups[0]["params"]):
                for name, tensor in optimiser.state.get(parameter, {}).items():
                    tensors[f"{self.stage}.{index}.{name}"] = tensor
        waiting = self._folder / ".map.safetensors"
        save_file(tensors, waiting)
        waiting.replace(self._folder / "map.safetensors")
        progress = {
            "stage": self.stage,
            "step": self.step,
            "positions": self.positions,
            "cpu_minutes": self.cpu_minutes,
            "curve": self.curve,
        }
        write_whole(self._folder / "progress.json", json.dumps(progress))
        self._write_bridge(arrays)

    def save_last(self) -> None:
        """Keeps what the last call of `save` was given."""
        if self._last is not None:
            self.save(*self._last, now=True)

    def _write_bridge(self, arrays: dict[str, npt.NDArray[np.float32]]) -> None:
        job = self.job
        folder = Path(job.out) / job.name
        folder.mkdir(parents=True, exist_ok=True)
        fresh = folder / ".weights.fresh"
        digest = write_weights(fresh, arrays)
        parameters = sum(array.size for array in arrays.values())
        assert parameters <= MAX_PARAMETERS
        told = {
            "sensorium": 1,
            "name": job.name,
            "about": self._about(),
            "from": {"model": job.sender, "weights": self._identities(job.sender_folder), "tap": job.tap}
            | {"width": len(arrays["mean"])},
            "to": {"model": job.receiver, "weights": self._identities(job.receiver_folder)}
            | {"width": len(arrays["scale"])},
            "stride": job.stride,
            "hidden": len(arrays["in.bias"]),
            "skip": True,
            "parameters": parameters,
            "sha256": digest,
            "licences": job.licences,
            "training": {
                "texts": _named(Path(job.texts)),
                "positions": self.positions,
                "steps": self.step,
                "cpu_minutes": round(self.cpu_minutes, 1),
                "seed": job.seed,
                "stages": _stages(job, self.stage),
            },
        }
        with (folder / ".bridge.fresh").open("w", encoding="utf-8") as file:
            _yaml().dump(told, file)
        fresh.replace(folder / "weights.safetensors")
        (folder / ".bridge.fresh").replace(folder / "bridge.yaml")

    def _about(self) -> str:
        job = self.job
        what = f"Input embeddings for {job.receiver} from what {job.sender} computed at {job.tap}"
        return f"{what}, {job.stride} positions in one." if job.stride > 1 else f"{what}."

    def _identities(self, folder: str) -> list[str]:
        kept = self._folder / f"identities-{Path(folder).name}.txt"
        if not kept.is_file():
            write_whole(kept, "\n".join(loaded_identities(folder)))
        return kept.read_text().split()


def _named(texts: Path) -> list[str]:
    """Names of what lies in a folder and has texts: files, and folders of them."""
    names = {path.relative_to(texts).parts[0] for path in text_files(texts)}
    return sorted(name.encode("utf-8", "replace").decode() for name in names)


def _yaml() -> YAML:
    yaml = YAML()
    yaml.width = 110
    return yaml


def _stages(job: TrainingJob, stage: str) -> list[str]:
    target = (
        "embeddings of the same characters"
        if job.stride == 1
        else "sum of the group's embeddings, each at half the weight of the one before"
    )
    stages = [f"squared error to the receiver's {target}"]
    if job.stride == 1:
        stages[0] += ", and cross-entropy among them"
    if stage in ("end-to-end", "done"):
        stages.append("negative log-likelihood of the forced text, the receiver frozen")
    return stages
