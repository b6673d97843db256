"""What is looked at before a bridge is trained, or trained further: all that would only fail when minutes are spent."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from sensorium.errors import CallerError, OperatorError
from sensorium.latent.bridge import MAX_PARAMETERS
from sensorium.latent.bridge_job import TrainingJob, TrainingKept, text_files
from sensorium.spec.declared import CheckpointName
from sensorium.spec.plain import is_mapping

__all__ = ["begin", "require_name", "resumed"]

_STRIDES: Final = (1, 2, 4, 8, 16)
"""Those that part each stretch of text with which the receiver is in the loop."""
_MOST_HIDDEN: Final = 65_536
_NAME: TypeAdapter[str] = TypeAdapter(CheckpointName)


def require_name(out: Path) -> None:
    """Nothing, where a bridge may lie in a folder of this name: the bridge has it too, and so has what is kept of it.

    Raises:
        CallerError: None may.
    """
    try:
        _NAME.validate_python(out.name)
    except ValidationError as error:
        raise CallerError(
            f"{out} is no folder of a bridge: a bridge has its folder's name, which begins with a letter and has "
            "letters, digits, _, - and single dots, 64 at most; give another with --out"
        ) from error


def begin(job: TrainingJob) -> None:
    """Refuses a job that cannot come to a bridge, then clears what an older training of that name has left.

    Raises:
        CallerError: Something that the job asks for cannot be, or would lose what is there.
        OperatorError: The folder of the bridge cannot be written.
    """
    _require_numbers(job)
    text_files(job.texts)
    _require_widths(job)
    _require_free(job)
    if Path(job.state).exists():
        shutil.rmtree(job.state)


def resumed(state: Path, out: Path, asked: Mapping[str, Any], minutes: float | None) -> TrainingJob:
    """The job with which a training goes on.

    Args:
        state: Where it was kept.
        out: Folder of the bridge.
        asked: What was asked for by name, beside minutes: fields of the job, which have to be as it began.
        minutes: CPU-minutes in all; None for as many as it began with.

    Raises:
        CallerError: There is none to go on with, it began otherwise, or the minutes are spent.
    """
    job = TrainingJob.read(state)
    if (Path(job.out) / job.name).absolute() != out:
        raise CallerError(
            f"the training kept in {state} is of the bridge {Path(job.out) / job.name}, not of {out}; go on with that "
            "one by --out, or begin a bridge of another name"
        )
    for field, wanted in asked.items():
        began = getattr(job, field)
        if wanted != began:
            option = "--text" if field == "texts" else f"--{field.replace('_', '-')}"
            name = field if field in ("sender", "receiver") else option
            raise CallerError(
                f"{name} is {wanted}, and the training began with {began}; leave that as it was, or begin a bridge of "
                "another name by --out"
            )
    text_files(job.texts)
    if minutes is not None:
        _require_finite("--minutes", minutes)
        spent = TrainingKept.read(state).cpu_minutes if (state / "progress.json").is_file() else 0.0
        if minutes <= spent:
            raise CallerError(
                f"--minutes is {minutes:g}, and {spent:.1f} CPU-minutes were spent already; it tells of all of them: "
                "give more, or leave it out"
            )
    return replace(job, minutes=minutes or job.minutes, state=str(state))


def _require_numbers(job: TrainingJob) -> None:
    for option, number in (("--minutes", job.minutes), ("--rate", job.rate), ("--end-to-end", job.end_to_end)):
        _require_finite(option, number)
    if job.stride not in _STRIDES:
        raise CallerError(f"--stride is {job.stride}; a bridge is trained with one of {', '.join(map(str, _STRIDES))}")
    if not 0 <= job.seed < 1 << 63:
        raise CallerError(f"--seed is {job.seed}; give one from 0 to 2^63 - 1")
    if job.hidden > _MOST_HIDDEN:
        raise CallerError(f"--hidden is {job.hidden:,}; the most is {_MOST_HIDDEN:,}")


def _require_finite(option: str, number: float) -> None:
    if not math.isfinite(number):
        raise CallerError(f"{option} is {number}; give a finite number")


def _require_widths(job: TrainingJob) -> None:
    width, layers = _shape(job.sender, job.sender_folder)
    out, _ = _shape(job.receiver, job.receiver_folder)
    tap = re.fullmatch(r"hidden\[([0-9]{1,9})\]", job.tap)
    if tap is None or not 1 <= int(tap[1]) < layers:
        raise CallerError(f"--tap is {job.tap!r}; {job.sender} is read at hidden[1] to hidden[{layers - 1}]")
    wide = width * job.stride
    besides = 2 * width + 2 * wide + 2 * out + out * wide
    counted = besides + job.hidden * (wide + 1 + out)
    if counted > MAX_PARAMETERS:
        most = (MAX_PARAMETERS - besides) // (wide + 1 + out)
        right = f"--hidden {most} is the most here" if most > 0 else "take a smaller --stride"
        raise CallerError(f"the bridge would have {counted:,} parameters, and {MAX_PARAMETERS:,} are the most; {right}")


def _shape(name: str, folder: str) -> tuple[int, int]:
    """Width and layers of a checkpoint in the transformers layout."""
    try:
        told: Any = json.loads((Path(folder) / "config.json").read_bytes())
    except (OSError, ValueError):
        told = None
    width, layers = (told.get("hidden_size"), told.get("num_hidden_layers")) if is_mapping(told) else (None, None)
    if not isinstance(width, int) or not isinstance(layers, int):
        raise CallerError(
            f"checkpoint {name!r} is no language model in the transformers layout, and bridges are trained between "
            f"such alone; a manifest `of: {name}` with `convert: gguf-to-transformers` makes one of a GGUF file"
        )
    return width, layers


def _require_free(job: TrainingJob) -> None:
    folder = Path(job.out) / job.name
    if (folder / "bridge.yaml").exists():
        raise CallerError(
            f"a bridge lies in {folder} already; go on with its training by --resume, give another folder with "
            "--out, or remove it"
        )
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir():
        raise CallerError(f"{there} is a file; give another folder with --out")
    if (other := _unfinished(Path(job.state))) not in (None, folder):
        raise CallerError(
            f"an unfinished training of the bridge {other} is kept in {job.state}, under the name {job.name}; give "
            f"this bridge another name with --out, or remove {job.state}"
        )
    if not os.access(there, os.W_OK):
        raise OperatorError(f"{there} cannot be written; give another folder with --out")


def _unfinished(state: Path) -> Path | None:
    """The bridge of a training that was kept and is not done."""
    try:
        job, kept = TrainingJob.read(state), TrainingKept.read(state)
    except CallerError:
        return None
    return None if kept.stage == "done" else Path(job.out) / job.name
