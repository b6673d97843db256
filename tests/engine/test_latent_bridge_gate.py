"""The gate that cuts sound into what becomes one row each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from sensorium.errors import AuthorError
from sensorium.latent.bridge import read_bridge
from sensorium.latent.bridge_gate import GateSpec, gate_shapes, gated, laid_out, token_ends
from sensorium.latent.bridge_weights import write_weights

GATE = GateSpec(context=3, hidden=2, slots=2, reach=1, likely=0.5, apart=2)
WIDTH = 2

Floats = npt.NDArray[np.float32]


def likelihoods(*peaks: int, length: int = 20) -> Floats:
    likely = np.zeros(length, np.float32)
    likely[list(peaks)] = 0.9
    return likely


@pytest.mark.parametrize(
    ("peaks", "voiced_to", "ends"),
    [
        ((4, 9, 14), 15, [4, 9, 14]),
        ((4, 5, 14), 15, [4, 14]),  # nearer than two tokens can be
        ((4,), 20, [4, 19]),  # words go on behind the last peak
        ((), 8, [7]),  # one token that the gate was never sure of
        ((), 0, []),  # silence
    ],
)
def test_a_token_ends_where_it_is_likeliest(peaks: tuple[int, ...], voiced_to: int, ends: list[int]) -> None:
    voiced = np.zeros(20, np.float32)
    voiced[:voiced_to] = 1
    assert token_ends(likelihoods(*peaks), voiced, GATE).tolist() == ends


def test_slots_are_means_of_equal_parts_of_a_token_and_of_its_neighbours() -> None:
    states = np.arange(20, dtype=np.float32)[:, None].repeat(WIDTH, 1)
    laid = laid_out(states, np.ones(20, np.float32), np.array([3, 9]), GATE)
    assert laid.shape == (2, GATE.wide * WIDTH)
    np.testing.assert_allclose(laid[0, ::WIDTH], [0.5, 0.5, 2.5, 5.0], atol=1e-5)  # the first slot stands twice
    np.testing.assert_allclose(laid[1, ::WIDTH], [2.5, 5.0, 8.0, 8.0], atol=1e-5)


def test_silence_within_a_token_weighs_next_to_nothing() -> None:
    states = np.arange(10, dtype=np.float32)[:, None].repeat(WIDTH, 1)
    voiced = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, 1], np.float32)
    laid = laid_out(states, voiced, np.array([9]), GATE).reshape(-1, WIDTH)
    assert laid[1, 0] > 5.5
    assert laid[2, 0] == pytest.approx(8.5, abs=0.1)


def test_silence_makes_no_row() -> None:
    weights = {name: np.zeros(shape, np.float32) for name, shape in gate_shapes(GATE, WIDTH).items()}
    weights["gate.out.bias"][:] = -9
    assert gated(weights, np.ones((30, WIDTH), np.float32), GATE).shape == (0, GATE.wide * WIDTH)


def test_likelihoods_come_from_the_states_around() -> None:
    weights = {name: np.zeros(shape, np.float32) for name, shape in gate_shapes(GATE, WIDTH).items()}
    weights["gate.in.weight"][0, WIDTH] = 20  # the first number of the state itself
    weights["gate.in.weight"][1, 0] = 20  # that of the state before
    weights["gate.out.weight"][:] = [[1, 0], [1, 1]]
    weights["gate.out.bias"][:] = -10
    states = np.zeros((12, WIDTH), np.float32)
    states[[3, 8], 0] = 1
    assert len(gated(weights, states, GATE)) == 2


def written(folder: Path, **changes: Any) -> Path:
    """A bridge of random weights, with a gate."""
    width, out, hidden = WIDTH, 3, 4
    laid = GATE.wide * width
    shapes = gate_shapes(GATE, width) | {
        "mean": (width,), "deviation": (width,), "norm.weight": (laid,), "norm.bias": (laid,), "scale": (out,),
        "out.bias": (out,), "in.weight": (hidden, laid), "in.bias": (hidden,), "out.weight": (out, hidden),
    }  # fmt: skip
    random = np.random.default_rng(0)
    arrays = {name: np.abs(random.normal(size=shape)).astype(np.float32) for name, shape in shapes.items()}
    folder.mkdir()
    declared = {
        "stride": 1,
        "parameters": sum(array.size for array in arrays.values()),
        "sha256": write_weights(folder / "weights.safetensors", arrays),
    } | changes
    lines = [f"{key}: {value}" for key, value in declared.items()]
    digest = "0" * 64
    (folder / "bridge.yaml").write_text(
        f"sensorium: 1\nname: {folder.name}\nabout: Hears.\n"
        f"from: {{model: ear, weights: '{digest}', tap: encoder, width: {width}}}\n"
        f"to: {{model: reader, weights: '{digest}', width: {out}}}\n"
        "gate: {context: 3, hidden: 2, slots: 2, reach: 1, likely: 0.5, apart: 2}\n"
        f"hidden: {hidden}\nskip: false\nlicences: [MIT]\n"
        "training: {texts: [speech], positions: 0, steps: 0, cpu_minutes: 0, seed: 0, stages: [none]}\n"
        + "\n".join(lines)
    )
    return folder


def test_a_bridge_with_a_gate_makes_fewer_rows_than_states(tmp_path: Path) -> None:
    bridge = read_bridge(written(tmp_path / "ears"))
    rows = bridge.cross(np.random.default_rng(1).normal(size=(40, WIDTH)).astype(np.float32))
    assert rows.dtype == np.float32
    assert rows.shape[1] == 3
    assert 0 < len(rows) < 40


def test_a_stride_beside_a_gate_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(AuthorError, match="stride is 2 beside a gate"):
        read_bridge(written(tmp_path / "ears", stride=2))
