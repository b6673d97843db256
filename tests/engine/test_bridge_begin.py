"""What is refused before a bridge is trained, and before its training goes on; what is kept of one stays whole."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sensorium.errors import CallerError
from sensorium.latent.bridge_begin import begin, resumed
from sensorium.latent.bridge_job import TrainingJob
from tests.conftest import Command


@pytest.fixture
def job(tmp_path: Path) -> TrainingJob:
    """A training that may begin, of models that have a configuration alone."""
    for name, width in (("reed", 32), ("rose", 48)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps({"hidden_size": width, "num_hidden_layers": 6}))
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "prose.txt").write_text("The reed stands by the water.")
    return TrainingJob(
        name="reed-to-rose",
        sender="reed",
        sender_folder=str(tmp_path / "reed"),
        receiver="rose",
        receiver_folder=str(tmp_path / "rose"),
        licences=["CC0-1.0"],
        texts=str(tmp_path / "texts"),
        tap="hidden[4]",
        stride=1,
        hidden=24,
        positions=2560,
        end_to_end=0.2,
        rate=1e-3,
        minutes=1.0,
        seed=1,
        out=str(tmp_path / "bridges"),
        state=str(tmp_path / "training" / "reed-to-rose"),
    )


def keep(job: TrainingJob, **progress: Any) -> Path:
    """The state of a training that was kept."""
    job.write()
    told: dict[str, Any] = {"stage": "regress", "step": 3, "positions": 9, "cpu_minutes": 0.6, "curve": [], **progress}
    (Path(job.state) / "progress.json").write_text(json.dumps(told))
    return Path(job.state)


@pytest.mark.parametrize("out", ["..", "/", ".", "of reed", "-reed", "a..b", "a" * 65])
def test_a_folder_whose_name_is_none_of_a_bridge_is_refused_and_nothing_is_removed(
    sensorium: Command, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    (home / "training" / "other").mkdir(parents=True)
    (tmp_path / "it is").mkdir()
    monkeypatch.chdir(tmp_path / "it is")
    for more in (["--text", tmp_path], ["--resume"]):
        ended = sensorium("bridge", "train", "smollm2-135m", "smollm2-135m", f"--out={out}", *more)
        assert ended.code == 2
        assert "is no folder of a bridge" in ended.err
    assert (home / "training" / "other").is_dir()


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"minutes": float("nan")}, "--minutes is nan; give a finite number"),
        ({"minutes": float("inf")}, "--minutes is inf"),
        ({"rate": float("nan")}, "--rate is nan"),
        ({"end_to_end": float("nan")}, "--end-to-end is nan"),
        ({"stride": 3}, "--stride is 3; a bridge is trained with one of 1, 2, 4, 8, 16"),
        ({"seed": -1}, "--seed is -1; give one from 0"),
        ({"hidden": 10**12}, "--hidden is 1,000,000,000,000; the most is 65,536"),
        ({"hidden": 65_000}, r"have 5,\d+,\d+ parameters, and 5,000,000 are the most; --hidden \d+ is the most here"),
        ({"tap": "encoder"}, r"--tap is 'encoder'; reed is read at hidden\[1\] to hidden\[5\]"),
        ({"tap": "hidden[0]"}, "--tap"),
        ({"tap": "hidden[6]"}, "--tap"),
        ({"tap": "hidden[" + "9" * 5000 + "]"}, "--tap"),
        ({"texts": "/nowhere"}, "has no text files"),
        ({"sender_folder": "/nowhere"}, "'reed' is no language model in the transformers layout"),
    ],
)
def test_what_would_fail_once_minutes_are_spent_is_refused_before(
    job: TrainingJob, changed: dict[str, Any], told: str
) -> None:
    state = keep(job)
    with pytest.raises(CallerError, match=told):
        begin(replace(job, **changed))
    assert (state / "progress.json").is_file()
    begin(job)
    assert not state.exists()


def test_a_bridge_that_is_there_is_not_written_over(job: TrainingJob) -> None:
    folder = Path(job.out) / job.name
    folder.mkdir(parents=True)
    (folder / "bridge.yaml").write_text("sensorium: 1")
    with pytest.raises(CallerError, match=r"lies in .* already; go on with its training by --resume, give another"):
        begin(job)


def test_a_file_in_the_place_of_the_folder_is_refused(job: TrainingJob, tmp_path: Path) -> None:
    (tmp_path / "bridges").write_text("")
    with pytest.raises(CallerError, match="bridges is a file; give another folder"):
        begin(job)


def test_another_training_of_the_same_name_is_kept_until_it_is_done(job: TrainingJob, tmp_path: Path) -> None:
    other = replace(job, out=str(tmp_path / "elsewhere"))
    state = keep(other)
    with pytest.raises(CallerError, match=r"an unfinished training of the bridge .*elsewhere/reed-to-rose is kept"):
        begin(job)
    with pytest.raises(CallerError, match=r"is of the bridge .*elsewhere/reed-to-rose, not of .*bridges/reed-to-rose"):
        resumed(state, Path(job.out) / job.name, {}, None)
    keep(other, stage="done")
    begin(job)


def test_a_training_goes_on_as_it_began_or_not_at_all(job: TrainingJob) -> None:
    state, out = keep(job), Path(job.out) / job.name
    assert resumed(state, out, {"tap": "hidden[4]", "texts": job.texts}, None) == job
    assert resumed(state, out, {}, 2.0) == replace(job, minutes=2.0)
    for asked, told in (
        ({"stride": 2}, "--stride is 2, and the training began with 1"),
        ({"end_to_end": 0.9}, "--end-to-end is 0.9"),
        ({"texts": "/other"}, "--text is /other"),
        ({"sender": "rose"}, "sender is rose, and the training began with reed"),
    ):
        with pytest.raises(CallerError, match=told):
            resumed(state, out, asked, None)
    for minutes, told in ((0.5, "0.6 CPU-minutes were spent already"), (float("nan"), "give a finite number")):
        with pytest.raises(CallerError, match=told):
            resumed(state, out, {}, minutes)


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b'{"name": 3}', b"[" * 100_000])
def test_what_was_damaged_is_not_gone_on_with(job: TrainingJob, body: bytes) -> None:
    state, out = keep(job), Path(job.out) / job.name
    (state / "progress.json").write_bytes(body)
    with pytest.raises(CallerError, match=r"progress\.json does not tell how far the training is"):
        resumed(state, out, {}, 2.0)
    (state / "job.json").write_bytes(body)
    with pytest.raises(CallerError, match=r"job\.json is no training .*begin it again without --resume"):
        resumed(state, out, {}, None)
