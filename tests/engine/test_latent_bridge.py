"""Bridges: read from a folder, refused when something is wrong with it, applied by numpy; their commands."""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from ruamel.yaml import YAML

from sensorium.errors import AuthorError, CallerError
from sensorium.latent.bridge import BridgeSpec, measured_of, read_bridge
from sensorium.latent.bridge_job import TrainingJob, text_files
from sensorium.latent.bridge_weights import write_weights

Arrays = dict[str, npt.NDArray[np.float32]]

TOLD: dict[str, Any] = {
    "sensorium": 1,
    "name": "reed-to-rose",
    "about": "From reed to rose.",
    "from": {"model": "reed", "weights": "a" * 64, "tap": "hidden[4]", "width": 6},
    "to": {"model": "rose", "weights": "b" * 64, "width": 5},
    "stride": 2,
    "hidden": 7,
    "skip": True,
    "parameters": 0,
    "sha256": "",
    "licences": ["CC0-1.0"],
    "training": {
        "texts": ["prose"],
        "positions": 10,
        "steps": 1,
        "cpu_minutes": 0.1,
        "seed": 1,
        "stages": ["nothing"],
    },
}


def made(folder: Path, *, arrays: Arrays | None = None, **changed: Any) -> Path:
    """The folder of a bridge whose weights are drawn at random, with some of its declaration changed."""
    told = {**TOLD, **changed}
    shapes = BridgeSpec.model_validate({**told, "parameters": 1, "sha256": "0" * 64}).shapes
    drawn: Arrays = {}
    for index, (name, shape) in enumerate(shapes.items()):
        drawn[name] = np.random.default_rng(index).normal(size=shape).astype(np.float32)
    drawn["deviation"] = np.abs(drawn["deviation"]) + np.float32(0.5)
    drawn |= arrays or {}
    folder = folder / "reed-to-rose"
    folder.mkdir()
    digest = write_weights(folder / "weights.safetensors", drawn)
    counted = sum(math.prod(shape) for shape in shapes.values())
    told |= {"sha256": changed.get("sha256", digest), "parameters": changed.get("parameters", counted)}
    with (folder / "bridge.yaml").open("w") as file:
        YAML().dump(told, file)  # pyright: ignore[reportUnknownMemberType]
    return folder


def states(positions: int, width: int = 6) -> npt.NDArray[np.float32]:
    return np.random.default_rng(9).normal(size=(positions, width)).astype(np.float32)


@pytest.mark.parametrize(("positions", "rows"), [(1, 1), (2, 1), (5, 3), (8, 4)])
def test_neighbouring_positions_become_one_row(tmp_path: Path, positions: int, rows: int) -> None:
    crossed = read_bridge(made(tmp_path)).cross(states(positions))
    assert crossed.shape == (rows, 5)
    assert crossed.dtype == np.float32
    assert np.isfinite(crossed).all()


def test_a_row_is_what_the_formula_says(tmp_path: Path) -> None:
    bridge = read_bridge(made(tmp_path))
    read, some = bridge.arrays, states(2)
    laid = ((some - read["mean"]) / read["deviation"]).reshape(12)
    normal = (laid - laid.mean()) / math.sqrt(laid.var() + 1e-5) * read["norm.weight"] + read["norm.bias"]
    inner = normal @ read["in.weight"].T + read["in.bias"]
    gelu = np.array([0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) for x in inner])
    row = (gelu @ read["out.weight"].T + read["out.bias"] + normal @ read["skip.weight"].T) * read["scale"]
    np.testing.assert_allclose(bridge.cross(some)[0], row, rtol=1e-4, atol=1e-5)


def test_the_last_state_fills_up_the_last_row(tmp_path: Path) -> None:
    bridge, some = read_bridge(made(tmp_path)), states(3)
    filled = np.concatenate([some, some[-1:]])
    np.testing.assert_array_equal(bridge.cross(some), bridge.cross(filled))


def test_a_bridge_may_be_linear(tmp_path: Path) -> None:
    bridge = read_bridge(made(tmp_path, hidden=0, stride=1))
    assert bridge.cross(states(4)).shape == (4, 5)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (states(4, width=7), r"states are \[4, 7\]; \[positions, 6\] would be right"),
        (states(0), r"states are \[0, 6\]"),
        (states(6)[0], r"states are \[6\]"),
        (np.full((2, 6), np.nan, np.float32), "no finite floats"),
        (np.zeros((2, 6), np.int64), "no finite floats"),
    ],
)
def test_states_that_are_none_of_the_senders_are_refused(
    tmp_path: Path, wrong: npt.NDArray[np.float32], told: str
) -> None:
    with pytest.raises(CallerError, match=told):
        read_bridge(made(tmp_path)).cross(wrong)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"parameters": 3}, r"bridge.yaml:\d+:\d+: parameters is 3, and the widths make \d+; write \d+"),
        ({"name": "rose"}, "name is 'rose' in folder 'reed-to-rose'"),
        ({"hidden": 0, "skip": False}, "neither hidden nor skip"),
        ({"sha256": "e" * 64}, "its sha256 is .*; e+ would be right"),
        ({"stride": 0}, "stride"),
        ({"from": {**TOLD["from"], "tap": "input_ids"}}, "tap"),
        ({"from": {**TOLD["from"], "weights": "abc"}}, "is not a digest"),
    ],
)
def test_a_wrong_declaration_is_refused(tmp_path: Path, changed: dict[str, Any], told: str) -> None:
    sane = {key: value for key, value in changed.items() if key in ("hidden", "skip", "sha256", "parameters", "name")}
    folder = made(tmp_path, **sane)
    with (folder / "bridge.yaml").open() as file:
        declared = YAML(typ="safe").load(file) | changed  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    with (folder / "bridge.yaml").open("w") as file:
        YAML().dump(declared, file)  # pyright: ignore[reportUnknownMemberType]
    with pytest.raises(AuthorError, match=told):
        read_bridge(folder).arrays  # noqa: B018


def test_more_parameters_than_a_bridge_may_have_are_refused(tmp_path: Path) -> None:
    folder = made(tmp_path)
    text = (folder / "bridge.yaml").read_text()
    (folder / "bridge.yaml").write_text(text.replace("hidden: 7", "hidden: 65000").replace("width: 6", "width: 600"))
    with pytest.raises(AuthorError, match="at most 5,000,000 are allowed"):
        read_bridge(folder)


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"out.bias": np.full(5, np.nan, np.float32)}, "'out.bias' holds what is not finite"),
        ({"scale": np.full(5, np.inf, np.float32)}, "'scale' holds what is not finite"),
        ({"deviation": np.zeros(6, np.float32)}, "'deviation' is not above 0"),
        ({"out.bias": np.zeros(4, np.float32)}, r"float16 of shape \[5\] would be right"),
        ({"more": np.zeros(4, np.float32)}, "is shorter or longer|'more' is too much or missing"),
    ],
)
def test_wrong_weights_are_refused(tmp_path: Path, arrays: Arrays, told: str) -> None:
    bridge = read_bridge(made(tmp_path, arrays=arrays))
    with pytest.raises(AuthorError, match=f"weights.safetensors.*({told})"):
        bridge.cross(states(4))


@pytest.mark.parametrize("body", [b"", b"\xff" * 8, struct.pack("<Q", 4) + b"[[[[", struct.pack("<Q", 2) + b"{}"])
def test_a_file_that_is_no_safetensors_is_refused(tmp_path: Path, body: bytes) -> None:
    folder = made(tmp_path, sha256=hashlib.sha256(body).hexdigest())
    (folder / "weights.safetensors").write_bytes(body)
    with pytest.raises(AuthorError, match=r"weights\.safetensors"):
        read_bridge(folder).arrays  # noqa: B018


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    folder = made(tmp_path)
    (folder / "weights.safetensors").unlink()
    with pytest.raises(AuthorError, match=r"has no weights\.safetensors"):
        read_bridge(folder)


def test_a_training_is_kept_and_resumed_as_it_began(tmp_path: Path) -> None:
    ends: dict[str, Any] = {"sender": "a", "sender_folder": "a", "receiver": "b", "receiver_folder": "b"}
    job = TrainingJob(
        name="a-to-b",
        **ends,
        licences=["CC0-1.0"],
        texts=".",
        tap="hidden[4]",
        stride=1,
        hidden=8,
        positions=64,
        end_to_end=0.5,
        rate=1e-3,
        minutes=1,
        seed=1,
        out=str(tmp_path),
        state=str(tmp_path / "state"),
    )
    with pytest.raises(CallerError, match="no training to resume"):
        TrainingJob.read(tmp_path / "state")
    job.write()
    assert TrainingJob.read(tmp_path / "state") == job
    with pytest.raises(CallerError, match="has no text files"):
        text_files(tmp_path / "state")


def card_of(folder: Path, **of: Any) -> str:
    """A card of a bridge; `of` has it be of something else."""
    share = {"nll": 1.0, "recovered": 0.614, "interval": [0.5, 0.7]}
    channels = ("bridge", "text", "none", "nearest", "shuffled", "noise")
    told = msgspec.to_builtins(measured_of(read_bridge(folder).spec)) | of
    return json.dumps({"of": told, "tasks": {"repeat": dict.fromkeys(channels, share)}})


@pytest.mark.parametrize(
    "card",
    ["", "[1]", '{"of": 3}', "\udcff", '{"of": {}, "tasks": {}}', f'{{"x": {"[" * 100_000}'],
    ids=["empty", "a list", "of a number", "no Unicode", "of nothing", "nested deep"],
)
def test_a_card_that_is_none_is_a_fault_of_its_file(tmp_path: Path, card: str) -> None:
    folder = made(tmp_path)
    (folder / "card.json").write_bytes(card.encode(errors="surrogateescape"))
    with pytest.raises(AuthorError, match=r"card\.json: it is no card of a bridge"):
        read_bridge(folder)


@pytest.mark.parametrize("interval", [[9e300, 2], [0.7, 0.5], [0.7, 0.9]])
def test_a_card_whose_interval_cannot_be_is_none(tmp_path: Path, interval: list[float]) -> None:
    folder = made(tmp_path)
    (folder / "card.json").write_text(card_of(folder).replace("[0.5, 0.7]", json.dumps(interval)))
    with pytest.raises(AuthorError, match="does not hold what is recovered"):
        read_bridge(folder)


def test_a_bridge_of_the_project_stands_for_the_box_s_of_the_same_name(
    sensorium: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bridges").mkdir()
    (tmp_path / "sensorium.yaml").write_text("sensorium: 1\nname: garden\n")
    name = "qwen2.5-coder-0.5b-to-smollm2-135m"
    made(tmp_path / "bridges", name=name).rename(tmp_path / "bridges" / name)
    monkeypatch.chdir(tmp_path)
    listed = json.loads(sensorium("bridge", "list", "--json").out)["bridges"]
    assert [bridge["about"] for bridge in listed if bridge["name"] == name] == ["From reed to rose."]


def test_bridges_of_a_project_are_listed_and_shown(
    sensorium: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "garden"
    (project / "bridges").mkdir(parents=True)
    (project / "sensorium.yaml").write_text("sensorium: 1\nname: garden\n")
    folder = made(project / "bridges")
    (folder / "card.json").write_text(card_of(folder))
    monkeypatch.chdir(project)
    listed = json.loads(sensorium("bridge", "list", "--json").out)["bridges"]
    assert [bridge["name"] for bridge in listed][-1] == "reed-to-rose"
    assert "repeat 61%" in sensorium("bridge", "list").out
    assert json.loads(sensorium("bridge", "show", "reed-to-rose", "--json").out)["card"]["tasks"]
    assert "hidden[4], width 6" in sensorium("bridge", "show", str(folder)).out
    missing = sensorium("bridge", "show", "rose")
    assert (missing.code, "no bridge is called 'rose'; bridges: " in missing.err) == (2, True)


@pytest.mark.parametrize("end", ["bridge", "sender", "receiver"])
def test_a_card_of_another_bridge_or_of_other_weights_counts_for_nothing(
    sensorium: Callable[..., Any], tmp_path: Path, end: str
) -> None:
    folder = made(tmp_path)
    other = "0" * 64
    (folder / "card.json").write_text(card_of(folder, **{end: other if end == "bridge" else [other]}))
    assert read_bridge(folder).card is None
    assert "its card is of another bridge or of other weights" in sensorium("bridge", "show", folder).out


def test_a_bridge_leads_from_each_element_type_of_its_sender_to_each_of_its_receiver(tmp_path: Path) -> None:
    half, single, other = "1" * 64, "2" * 64, "3" * 64
    bridge = read_bridge(made(tmp_path, **{"from": TOLD["from"] | {"weights": [half, single]}}))
    (receiver,) = bridge.spec.receiver.weights
    assert [bridge.leads(sender, receiver) for sender in (half, single, other)] == [True, True, False]
    assert not bridge.leads(half, other)


def test_a_training_without_texts_or_weights_is_refused_before_it_begins(
    sensorium: Callable[..., Any], elsewhere: Path
) -> None:
    ended = sensorium("bridge", "train", "smollm2-135m", "smollm2-135m")
    assert (ended.code, "give a folder with --text" in ended.err) == (2, True)
    ended = sensorium("bridge", "train", "smollm2-135m", "smollm2-135m", "--text", elsewhere)
    assert (ended.code, "models pull smollm2-135m-transformers" in ended.err) == (5, True)
