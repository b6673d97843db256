"""KV codecs on caches of realistic statistics and no model: sizes, errors, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sensorium.errors import AuthorError, CallerError
from sensorium.latent.kv import CODECS, LEARNED, PLAIN, KvError, KvShape, KvTables, Rope, decode, encode
from sensorium.latent.kv_files import read_tables, write_tables
from sensorium.latent.kv_learning import learned_tables
from sensorium.latent.kv_shape import Array

LAYERS, HEADS, DIM = 4, 2, 16
WIDTH = 2 * HEADS * DIM
INV_FREQ = 1e4 ** (-np.arange(0, DIM, 2) / DIM)
ROPE = Rope(INV_FREQ, 0)
FIRST = np.linspace(-30, 30, LAYERS * WIDTH, dtype=np.float32).reshape(LAYERS, WIDTH)
MIXING = np.random.default_rng(1).normal(size=(WIDTH, WIDTH)) * 1.2 ** -np.arange(WIDTH)
DRIFT = np.linalg.qr(np.random.default_rng(2).normal(size=(WIDTH, WIDTH)))[0]


def states(positions: int, seed: int) -> Array:
    """[layers, positions, width] before RoPE: few directions matter, and a layer is much like the one before."""
    rng = np.random.default_rng(seed)
    layers = [rng.standard_t(8, size=(positions, WIDTH)) @ MIXING.T]
    for _ in range(LAYERS - 1):
        layers.append(layers[-1] @ DRIFT.T + 0.3 * rng.standard_t(8, size=(positions, WIDTH)) @ MIXING.T)
    return np.stack(layers).astype(np.float32)


def cache_of(positions: int, seed: int = 5, start: int = 0) -> Array:
    """A message's cache as a model holds it; position 0 is the one that all messages begin with."""
    rows = states(positions, seed)
    if start == 0:
        rows[:, 0] = FIRST
    kv = rows.reshape(LAYERS, positions, 2, HEADS, DIM).transpose(0, 2, 3, 1, 4).copy()
    kv[:, 0] = Rope(INV_FREQ, start).rotated(kv[:, 0])
    return kv


@cache
def tables() -> KvTables:
    caches = states(1500, 7)
    cost = np.stack([np.diag(np.linspace(0.2, 2, WIDTH)) for _ in range(LAYERS)])
    return learned_tables(caches, FIRST, cost, KvShape(LAYERS, HEADS, 1, DIM))


def size_of(tensors: dict[str, Any]) -> int:
    return sum(int(tensor.nbytes) for tensor in tensors.values())


def lost(codec: str, kv: Array, rope: Rope = ROPE) -> float:
    """The error of a cache that went through a codec, as a share of its values' mean square behind position 0."""
    shape = KvShape(LAYERS, HEADS, kv.shape[3], DIM)
    back = decode(codec, encode(codec, kv, rope, tables()), rope, tables(), shape)
    assert back.dtype == np.float32
    assert back.shape == kv.shape
    return float(((back - kv)[:, :, :, 1:] ** 2).mean() / (kv[:, :, :, 1:] ** 2).mean())


@pytest.mark.parametrize(
    ("codec", "most"), [("int8", 1e-4), ("int4", 0.01), ("int3", 0.04), ("int2", 0.25), ("klt4", 3e-4), ("klt2", 0.01)]
)
def test_a_cache_comes_back_with_no_more_error_than_the_codec_tells_of(codec: str, most: float) -> None:
    assert lost(codec, cache_of(200)) < most


def test_fewer_bits_lose_more_and_the_learned_codec_loses_less_than_plain_rounding() -> None:
    kv = cache_of(200)
    errors = [lost(codec, kv) for codec in LEARNED]
    assert errors == sorted(errors)
    assert lost("klt4", kv) < lost("int4", kv) / 10
    assert lost("klt2", kv) < lost("int2", kv) / 10


@pytest.mark.parametrize("codec", PLAIN)
def test_a_plain_message_has_exactly_the_bytes_of_its_bits_and_scales(codec: str) -> None:
    kv = cache_of(33)
    assert size_of(encode(codec, kv)) == kv.size * PLAIN[codec] // 8 + 2 * 2 * kv.size // DIM


@pytest.mark.parametrize("codec", LEARNED)
@pytest.mark.parametrize("positions", [60, 200])
def test_a_learned_message_stays_in_its_budget_and_nearly_fills_it(codec: str, positions: int) -> None:
    kv = cache_of(positions)
    budget = kv.size * LEARNED[codec] / 8
    assert 0.9 * budget < size_of(encode(codec, kv, ROPE, tables())) <= budget


def test_the_same_cache_gives_the_same_message() -> None:
    one, other = (encode("klt2", cache_of(50), ROPE, tables()) for _ in range(2))
    assert all((one[name] == other[name]).all() for name in one)


def test_a_message_that_begins_later_or_otherwise_comes_back_too() -> None:
    assert lost("klt4", cache_of(80, start=1000), Rope(INV_FREQ, 1000)) < 1e-3
    kv = cache_of(80)
    kv[:, :, :, 0] = np.float32(7.5)
    shape = KvShape(LAYERS, HEADS, 80, DIM)
    back = decode("klt4", encode("klt4", kv, ROPE, tables()), ROPE, tables(), shape)
    np.testing.assert_allclose(back[:, :, :, 0], kv[:, :, :, 0], rtol=1e-3)


def test_dims_that_are_not_rotated_stay_as_they_are() -> None:
    keys = cache_of(9)[:, 0]
    half = Rope(INV_FREQ[: DIM // 4], 3)
    turned = half.rotated(keys)
    assert (turned[..., DIM // 2 :] == keys[..., DIM // 2 :]).all()
    np.testing.assert_allclose(half.rotated(turned, back=True), keys, atol=1e-4)


def test_tables_come_back_from_the_disk(tmp_path: Path) -> None:
    write_tables(tmp_path, tables())
    kept = read_tables(tmp_path)
    kv = cache_of(40)
    message = encode("klt2", kv, ROPE, kept)
    back = decode("klt2", message, ROPE, kept, KvShape(LAYERS, HEADS, 40, DIM))
    assert float(((back - kv)[:, :, :, 1:] ** 2).mean()) < 0.02 * float((kv**2).mean())


DAMAGES: list[Callable[[bytes], bytes]] = [lambda body: body[:-100], lambda _: b"", lambda body: b"\xff" * len(body)]


@pytest.mark.parametrize("damage", DAMAGES)
def test_tables_that_are_damaged_are_refused(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = write_tables(tmp_path, tables())
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(AuthorError, match="does not hold KV tables"):
        read_tables(tmp_path)


def with_(name: str, change: Callable[[Any], Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda tensors: {**tensors, name: change(tensors[name].copy())}


def changed(tensor: Any) -> Any:
    tensor.flat[tensor.size // 2] ^= 1 << 7
    return tensor


HOSTILE: list[tuple[str, Callable[[dict[str, Any]], dict[str, Any]], str]] = [
    ("int4", lambda tensors: {}, "has tensors"),
    ("int4", lambda tensors: {**tensors, "more": np.zeros(1)}, "has tensors"),
    ("int4", with_("codes", lambda codes: codes[:-1]), "codes is"),
    ("int4", with_("codes", lambda codes: codes.astype(np.int32)), "codes is"),
    ("int4", with_("step", lambda step: step * np.float16("nan")), "not finite"),
    ("int4", with_("least", lambda least: least.reshape(-1)), "least is"),
    ("klt2", with_("stream", lambda stream: stream[:-4]), "cut off|changed"),
    ("klt2", with_("stream", lambda stream: stream[:1]), "cut off"),
    ("klt2", with_("stream", changed), "cut off|changed"),
    ("klt2", with_("stream", lambda stream: stream[::-1].copy()), "cut off|changed|called for"),
    ("klt2", with_("stream", lambda stream: np.full_like(stream, -1)), "cut off|changed|called for"),
    ("klt2", with_("stream", lambda stream: stream.view(np.uint32)), "stream is"),
    ("klt2", with_("beyond", lambda beyond: np.append(beyond, np.int32(5))), "cut off or changed"),
    ("klt2", with_("step", lambda step: step + 10**6), "step of number"),
    ("klt2", with_("step", lambda step: step - 40), "cut off|changed|called for|too short"),
    ("klt2", with_("step", lambda step: np.zeros((), np.int32)), "step is"),
    ("klt2", with_("first", lambda first: np.zeros(7, np.float16)), "first has"),
    ("klt2", with_("first", lambda first: np.full(LAYERS * WIDTH, np.inf, np.float16)), "not finite"),
    ("klt2", with_("check", lambda check: check + np.int32(1)), "cut off or changed"),
]


@pytest.mark.parametrize(("codec", "damage", "why"), HOSTILE)
def test_a_message_that_is_not_right_is_refused_with_the_reason(
    codec: str, damage: Callable[[dict[str, Any]], dict[str, Any]], why: str
) -> None:
    message = damage(encode(codec, cache_of(40), ROPE, tables()))
    with pytest.raises(CallerError, match=why):
        decode(codec, message, ROPE, tables(), KvShape(LAYERS, HEADS, 40, DIM))


@pytest.mark.parametrize("codec", CODECS)
def test_no_random_message_does_more_than_be_refused(codec: str) -> None:
    rng = np.random.default_rng(11)
    shape = KvShape(LAYERS, HEADS, 40, DIM)
    whole = encode(codec, cache_of(40), ROPE, tables())
    name = "codes" if codec in PLAIN else "stream"
    for _ in range(30):
        noise = rng.integers(0, 256, whole[name].nbytes, dtype=np.uint8).view(whole[name].dtype)
        try:
            decode(codec, {**whole, name: noise}, ROPE, tables(), shape)
        except KvError:
            continue
        assert codec in PLAIN, "any codes of plain rounding are values; a stream has its check"


@pytest.mark.parametrize(
    ("shape", "why"),
    [
        (KvShape(LAYERS, HEADS, 1 << 40, DIM), "is refused"),
        (KvShape(LAYERS, HEADS, 100_000, DIM), "too short|codes is"),
        (KvShape(LAYERS, HEADS, 0, DIM), "is refused"),
        (KvShape(LAYERS + 1, HEADS, 40, DIM), "not of the model|codes is"),
    ],
)
@pytest.mark.parametrize("codec", ["int8", "klt0.5"])
def test_a_shape_that_the_message_does_not_fill_is_refused_before_memory_is_taken(
    codec: str, shape: KvShape, why: str
) -> None:
    message = encode(codec, cache_of(40), ROPE, tables())
    with pytest.raises(KvError, match=why):
        decode(codec, message, ROPE, tables(), shape)


NO_CACHES: list[tuple[Callable[[Array], Array], str]] = [
    (lambda kv: kv.astype(np.float64), "float32"),
    (lambda kv: kv[0], "float32"),
    (lambda kv: kv * np.float32("inf"), "not finite"),
    (lambda kv: np.where(kv == kv.max(), np.float32("nan"), kv), "not finite"),
    (lambda kv: kv * np.float32(1e5), "65,504"),
]


@pytest.mark.parametrize(("change", "why"), NO_CACHES)
@pytest.mark.parametrize("codec", ["int4", "klt2"])
def test_a_cache_that_is_not_one_is_not_encoded(codec: str, change: Callable[[Array], Array], why: str) -> None:
    with pytest.raises(KvError, match=why), np.errstate(invalid="ignore"):
        encode(codec, change(cache_of(20)), ROPE, tables())


def test_what_is_missing_to_decode_with_is_named() -> None:
    with pytest.raises(KvError, match="needs the model's rotation and tables"):
        encode("klt2", cache_of(20))
    with pytest.raises(KvError, match="there is no KV codec 'zip'; there are int8"):
        encode("zip", cache_of(20), ROPE, tables())
    with pytest.raises(KvError, match="does not fit heads of"):
        encode("klt2", cache_of(20), Rope(np.ones(DIM), 0), tables())
    with pytest.raises(KvError, match="the table mean is"):
        replace(tables(), mean=np.zeros((1, 1), np.float32)).checked()
