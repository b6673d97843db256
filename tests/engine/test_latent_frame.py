"""Frames: what is sealed is what is opened, and nothing else is opened."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import numpy as np
import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from sensorium.latent.frame import (
    DTYPES,
    Frame,
    FrameBroken,
    FrameHead,
    FrameLimits,
    FrameRefused,
    Tensor,
    open_frame,
    open_head,
    seal,
)

KEY = b"0123456789abcdef0123456789abcdef"
OTHER_KEY = KEY[::-1]
HEAD = FrameHead(
    space="lm.hidden[-1]",
    weights="0f" * 32,
    runtime="torch 2.13.0 cpu bfloat16",
    positions=3,
    chunks=512,
    codec="int8",
    made_by="reader · page 2",
    recipe="c0ffee",
)
WORDS: dict[str, Any] = {
    "space": "lm.kv",
    "weights": "ab12",
    "runtime": "torch",
    "positions": 3,
    "chunks": 0,
    "codec": "",
    "made_by": "",
    "recipe": "",
}


def spelled(words: Mapping[str, Any], tensors: list[dict[str, Any]]) -> bytes:
    """JSON of a head, as the format spells it, whatever it says."""
    return json.dumps({"head": words, "tensors": tensors}, ensure_ascii=False, separators=(",", ":")).encode()


def sealed(  # the format once more, from its description
    words: bytes,
    body: bytes,
    *,
    key: bytes = KEY,
    magic: bytes = b"SENSEFR\x01",
    head_bytes: int | None = None,
    body_bytes: int | None = None,
    padding: bytes = b"\0",
) -> bytes:
    """A frame around any head and body, with tags that are right for the key."""
    lengths = (len(words) if head_bytes is None else head_bytes, len(body) if body_bytes is None else body_bytes)
    lead = magic + struct.pack("<QQ", *lengths) + words
    lead += padding * (-(len(lead) + 32) % 64)
    lead += blake3(lead, key=key).digest()
    return lead + body + blake3(lead + body, key=key).digest()


def told(*tensors: tuple[str, str, Any], **words: Any) -> bytes:
    return spelled({**WORDS, **words}, [{"name": name, "dtype": d, "shape": shape} for name, d, shape in tensors])


def small() -> bytes:
    return seal(HEAD, {"codes": np.arange(-3, 3, dtype=np.int8).reshape(2, 3), "scales": np.ones(2, np.float32)}, KEY)


def given_again(frame: Frame) -> dict[str, Tensor]:
    return {name: Tensor(array, frame.dtypes[name]) for name, array in frame.tensors.items()}


def test_the_format_is_as_it_is_described() -> None:
    body = np.array([1.5, -2.0], "<f4").tobytes().ljust(64, b"\0") + b"\x07".ljust(64, b"\0")
    frame = open_frame(sealed(told(("a", "float32", [2]), ("b", "uint8", [])), body), KEY)
    assert frame.head == FrameHead(space="lm.kv", weights="ab12", runtime="torch", positions=3)
    assert frame.tensors["a"].tolist() == [1.5, -2.0]
    assert frame.tensors["b"].shape == ()
    assert int(frame.tensors["b"]) == 7
    assert seal(frame.head, given_again(frame), KEY) == sealed(told(("a", "float32", [2]), ("b", "uint8", [])), body)


def finite_bits(rng: np.random.Generator, dtype: str, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Any bits that are a sound element: every sign, subnormal numbers, the greatest exponents but one."""
    layout = np.dtype(DTYPES[dtype])
    raw = rng.integers(0, 256, (*shape, layout.itemsize), dtype=np.uint8)
    if dtype == "bool":
        return np.asarray(raw[..., 0] & 1).astype(bool)
    if dtype in ("float32", "float16", "bfloat16"):
        exponent = {"float32": 0x7F800000, "float16": 0x7C00, "bfloat16": 0x7F80}[dtype]
        bits = raw.view(f"<u{layout.itemsize}")[..., 0]
        raw = np.where((bits & exponent) == exponent, bits ^ (exponent & -exponent), bits).astype(bits.dtype)
        return raw.view(layout)
    return np.asarray(raw.view(layout)[..., 0])


SHAPES = st.lists(st.integers(0, 5), max_size=4).map(tuple)
KINDS = st.lists(st.tuples(st.sampled_from(list(DTYPES)), SHAPES), max_size=6)


@settings(max_examples=100, deadline=None)
@given(kinds=KINDS, seed=st.integers(0, 2**32 - 1))
def test_tensors_of_every_kind_come_back_bit_for_bit(kinds: list[tuple[str, tuple[int, ...]]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    tensors = {f"t.{i}": Tensor(finite_bits(rng, dtype, shape), dtype) for i, (dtype, shape) in enumerate(kinds)}
    data = seal(HEAD, tensors, KEY)
    frame = open_frame(data, KEY)
    assert frame.head == HEAD
    assert list(frame.tensors) == list(tensors)
    assert frame.size_bytes == len(data)
    for name, (array, dtype) in tensors.items():
        assert frame.dtypes[name] == dtype
        assert frame.tensors[name].shape == array.shape
        assert frame.tensors[name].tobytes() == array.tobytes()
    assert seal(frame.head, given_again(frame), KEY) == data


TEXT = st.text(max_size=30)


@settings(max_examples=100, deadline=None)
@given(space=TEXT, weights=TEXT, runtime=TEXT, codec=TEXT, made_by=TEXT, recipe=TEXT, positions=st.integers(-1, 2**63))
def test_a_head_of_anything_is_refused_or_comes_back(
    space: str, weights: str, runtime: str, codec: str, made_by: str, recipe: str, positions: int
) -> None:
    head = FrameHead(
        space=space,
        weights=weights,
        runtime=runtime,
        positions=positions,
        codec=codec,
        made_by=made_by,
        recipe=recipe,
    )
    try:
        data = seal(head, {}, KEY)
    except FrameRefused:
        return
    assert open_frame(data, KEY).head == head


def test_arrays_of_any_strides_and_byte_order_are_sealed_alike() -> None:
    plain = np.arange(12, dtype=np.float32).reshape(3, 4)
    wanted = seal(HEAD, {"a": plain}, KEY)
    for other in (plain.astype(">f4"), np.asfortranarray(plain), plain[::-1][::-1], plain.T.copy().T):
        assert seal(HEAD, {"a": other}, KEY) == wanted


def changeable(data: bytes) -> memoryview:
    return memoryview(bytearray(data))


@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview, changeable])
def test_arrays_are_read_only_and_lie_in_the_frame(wrap: Callable[[bytes], Any]) -> None:
    data = wrap(small())
    codes = open_frame(data, KEY).tensors["codes"]
    assert np.shares_memory(codes, np.frombuffer(data, np.uint8))
    with pytest.raises(ValueError, match="read-only"):
        codes[0, 0] = 1
    with pytest.raises(ValueError, match="WRITEABLE"):
        codes.flags.writeable = True


def test_a_frame_without_tensors_is_one() -> None:
    frame = open_frame(seal(HEAD, {}, KEY), KEY)
    assert dict(frame.tensors) == {}
    assert frame.head == HEAD


def test_a_frame_cut_at_any_byte_is_refused() -> None:
    data = small()
    for cut in range(len(data)):
        with pytest.raises(FrameRefused, match="give all of it"):
            open_frame(data[:cut], KEY)


def test_a_frame_with_any_one_bit_changed_is_refused() -> None:
    data = bytearray(small())
    for at in range(len(data) * 8):
        data[at // 8] ^= 1 << at % 8
        with pytest.raises(FrameRefused):
            open_frame(data, KEY)
        data[at // 8] ^= 1 << at % 8
    assert open_frame(data, KEY).head == HEAD


ONE = ("a", "float32", [2])
FOUR = np.ones(2, "<f4").tobytes().ljust(64, b"\0")
BAD_FRAMES: list[tuple[str, bytes, str]] = [
    ("nothing", b"", "has 0 bytes"),
    ("another file", b"GIF89a" + bytes(100), "no frame begins with these bytes"),
    ("a later version", sealed(told(ONE), FOUR, magic=b"SENSEFR\x02"), "is of version 2; this Sensorium reads .* 1"),
    (
        "trailing bytes",
        sealed(told(ONE), FOUR) + b"\0",
        "has 353 bytes where its beginning claims 352; .* nothing beside it",
    ),
    ("a head of 2**64 bytes", sealed(told(ONE), FOUR, head_bytes=2**64 - 1), "claims a head of .* the most is 65,536"),
    ("a body of 4 TiB", sealed(told(ONE), FOUR, body_bytes=4 << 40), "claims a body of 4,398,046,511,104 bytes"),
    ("a body that ends anywhere", sealed(told(ONE), FOUR[:63]), "claims a body of 63 bytes; .* multiple of 64"),
    ("a forged tag", sealed(told(ONE), FOUR)[:-32] + bytes(32), "body does not bear its tag"),
    ("a forged tag of the head", sealed(told(ONE), FOUR, key=OTHER_KEY), "head does not bear its tag: .* another key"),
    ("another key", seal(HEAD, {"a": np.ones(3)[:0].astype("<f4")}, OTHER_KEY), "sealed with another key"),
    ("no JSON", sealed(b"\x80\x04K\x01.", b""), "head is none"),
    ("no UTF-8", sealed(told(ONE, made_by="x").replace(b'"x"', b'"\xed\xa0\x80"'), FOUR), "head is none"),
    ("a lone surrogate", sealed(told(ONE, made_by="x").replace(b'"x"', b'"\\ud800"'), FOUR), "head is none"),
    ("deep nesting", sealed(b"[" * 60_000, b""), "head is none"),
    ("an unknown word", sealed(told(ONE, run="me"), FOUR), "unknown field `run`"),
    ("a missing word", sealed(spelled({"space": "a"}, []), b""), "missing required field"),
    (
        "a word said twice",
        sealed(told(ONE).replace(b'"chunks":0', b'"chunks":0,"chunks":0'), FOUR),
        "spelled otherwise",
    ),
    ("spaces", sealed(told(ONE).replace(b",", b", "), FOUR), "spelled otherwise than `seal` spells it"),
    ("words in another order", sealed(spelled(dict(reversed(WORDS.items())), []), b""), "spelled otherwise"),
    ("positions below 0", sealed(told(ONE, positions=-1), FOUR), "head is none: Expected `int` >= 0"),
    ("positions of 2**200", sealed(told(ONE, positions=2**200), FOUR), "head is none"),
    ("positions as a fraction", sealed(told(ONE, positions=1.0), FOUR), "head is|spelled otherwise"),
    ("NaN", sealed(told(ONE, positions=float("nan")), FOUR), "head is none"),
    ("a space with a slash", sealed(told(ONE, space="../x"), FOUR), "space is '../x'; right is: 1 to 200 letters"),
    ("weights that are a name", sealed(told(ONE, weights="smollm2"), FOUR), "weights is 'smollm2'; right is: 1 to 128"),
    ("no weights", sealed(told(ONE, weights=""), FOUR), "weights is ''"),
    (
        "a terminal's escape",
        sealed(told(ONE, made_by="\x1b[2J").replace(b"\x1b", b"\\u001b"), FOUR),
        r"made_by is '\?\[",
    ),
    ("a long word", sealed(told(ONE, runtime="x" * 301), FOUR), "right is: at most 300 printable characters"),
    ("65 tensors", sealed(told(*((f"t{i}", "uint8", [0]) for i in range(65))), b""), "has 65 tensors; the most is 64"),
    ("one name twice", sealed(told(ONE, ONE), FOUR * 2), "two tensors named a; give each a name of its own"),
    ("an odd name", sealed(told(("a/../b", "uint8", [1])), bytes(64)), "a tensor named 'a/../b'; a name is 1 to 100"),
    ("no name", sealed(told(("", "uint8", [1])), bytes(64)), "a tensor named ''"),
    ("an object type", sealed(told(("a", "object", [1])), bytes(64)), "has the type 'object'; a frame carries float32"),
    ("a type of numpy", sealed(told(("a", "<f4", [1])), bytes(64)), "has the type '<f4'"),
    ("9 dimensions", sealed(told(("a", "uint8", [1] * 9)), bytes(64)), "has 9 dimensions; the most is 8"),
    ("a side below 0", sealed(told(("a", "uint8", [-1])), bytes(64)), "head is none: Expected `int` >= 0"),
    ("a side of 2**63", sealed(told(("a", "uint8", [2**63])), bytes(64)), "head is none"),
    (
        "a side of 2**62",
        sealed(told(("a", "uint8", [2**62])), bytes(64)),
        "tensor a claims 4611686018427387904 of uint8",
    ),
    ("sides that overflow to 8", sealed(told(("a", "int64", [2**32, 2**32])), bytes(64)), "claims 4294967296x42949"),
    ("4 TiB", sealed(told(("a", "float32", [1 << 20, 1 << 20])), bytes(64)), "claims 1048576x1048576 of float32"),
    ("4 TiB in tensors", sealed(told(*((f"t{i}", "uint8", [1 << 30]) for i in range(64))), bytes(64)), "have 68,719,4"),
    ("a 0 that hides 2**62", sealed(told(("a", "uint8", [0, 2**62])), b""), "tensor a claims 0x4611686018427387904"),
    ("a body too short", sealed(told(("a", "float32", [17])), FOUR), "tensors have 128 bytes, its body 64"),
    ("a body too long", sealed(told(ONE), FOUR + bytes(64)), "tensors have 64 bytes, its body 128"),
    (
        "something behind a tensor",
        sealed(told(ONE), FOUR[:-1] + b"x"),
        "tensor a is followed by bytes that are not zero",
    ),
    ("something behind the head", sealed(told(ONE), FOUR, padding=b"x"), "head is followed by bytes that are not zero"),
    ("a bool of 2", sealed(told(("a", "bool", [2])), b"\x01\x02".ljust(64, b"\0")), "holds bytes other than 0 and 1"),
]


@pytest.mark.parametrize(("data", "message"), [case[1:] for case in BAD_FRAMES], ids=[case[0] for case in BAD_FRAMES])
def test_a_bad_frame_is_refused_with_what_is_wrong(data: bytes, message: str) -> None:
    with pytest.raises(FrameRefused, match=message) as caught:
        open_frame(data, KEY)
    assert caught.value.exit_code == 2
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 500


NOT_FINITE = [
    ("float32", [0x7F800000, 0xFF800000, 0x7FC00000, 0xFFC00000, 0x7F800001, 0xFFFFFFFF]),
    ("float16", [0x7C00, 0xFC00, 0x7E00, 0xFE00, 0x7C01, 0xFFFF]),
    ("bfloat16", [0x7F80, 0xFF80, 0x7FC0, 0xFFC0, 0x7F81, 0xFFFF]),
]


@pytest.mark.parametrize(("dtype", "bits"), [(dtype, bits) for dtype, all_bits in NOT_FINITE for bits in all_bits])
@pytest.mark.parametrize("at", [0, 70_001, 299_999])  # in several blocks of the pass
def test_nan_and_infinity_are_refused_at_both_ends(dtype: str, bits: int, at: int) -> None:
    layout = np.dtype(DTYPES[dtype])
    array = np.zeros(300_000, f"<u{layout.itemsize}")
    array[at] = bits
    with pytest.raises(FrameRefused, match="tensor a holds NaN or infinity; give finite numbers"):
        seal(HEAD, {"a": Tensor(array.view(layout), dtype)}, KEY)
    body = array.tobytes()
    with pytest.raises(FrameRefused, match="tensor a holds NaN or infinity; give finite numbers"):
        open_frame(sealed(told(("a", dtype, [300_000])), body + bytes(-len(body) % 64)), KEY)


def test_every_16_bits_are_finite_or_refused_as_numpy_has_it() -> None:
    every = np.arange(1 << 16, dtype=np.uint32)
    for dtype, wide in (("float16", every.astype("<u2").view("<f2")), ("bfloat16", (every << 16).view("<f4"))):
        finite = np.isfinite(wide)
        sound = every[finite].astype("<u2").view(DTYPES[dtype])
        assert open_frame(seal(HEAD, {"a": Tensor(sound, dtype)}, KEY), KEY).tensors["a"].tobytes() == sound.tobytes()
        for bits in every[~finite].astype("<u2").view(DTYPES[dtype]):
            with pytest.raises(FrameRefused, match="NaN"):
                seal(HEAD, {"a": Tensor(np.array([bits]), dtype)}, KEY)


def test_a_changed_frame_is_called_changed_even_where_it_holds_nan() -> None:
    data = bytearray(sealed(told(ONE), FOUR))
    at = data.index(FOUR)
    data[at : at + 4] = struct.pack("<f", float("nan"))
    with pytest.raises(FrameRefused, match="body does not bear its tag"):
        open_frame(data, KEY)


def test_parts_of_two_frames_make_no_third() -> None:
    one, two = (seal(HEAD, {"a": np.full(4, number, np.float32)}, KEY) for number in (1, 2))
    other_head = seal(msgspec.structs.replace(HEAD, weights="cd34"), {"a": np.full(4, 1, np.float32)}, KEY)
    body_at = len(one) - 64 - 32
    for spliced in (one[:body_at] + two[body_at:-32] + one[-32:], one[:-32] + two[-32:], other_head[:-96] + one[-96:]):
        with pytest.raises(FrameRefused, match="does not bear its tag"):
            open_frame(spliced, KEY)


@pytest.mark.parametrize("size", [0, 16, 31, 33, 64])
def test_a_key_has_32_bytes(size: int) -> None:
    with pytest.raises(FrameRefused, match=f"the key has {size} bytes; a frame's key has 32"):
        seal(HEAD, {}, bytes(size))
    with pytest.raises(FrameRefused, match=f"the key has {size} bytes; a frame's key has 32"):
        open_frame(small(), bytes(size))


def test_limits_of_the_receiver_hold() -> None:
    data = seal(HEAD, {"a": np.zeros((4, 4), np.float32), "b": np.zeros(1, bool)}, KEY)
    open_frame(data, KEY, limits=FrameLimits(most_body_bytes=128, most_tensors=2, most_dimensions=2))
    for limits, message in (
        (FrameLimits(most_body_bytes=127), "claims a body of 128 bytes; the most is 127"),
        (FrameLimits(most_head_bytes=64), "claims a head of .* the most is 64"),
        (FrameLimits(most_tensors=1), "has 2 tensors; the most is 1"),
        (FrameLimits(most_dimensions=1), "tensor a has 2 dimensions; the most is 1"),
    ):
        with pytest.raises(FrameRefused, match=message):
            open_frame(data, KEY, limits=limits)


GIVEN: list[tuple[str, Any, str]] = [
    ("float64", np.zeros(2), "tensor a is an array of float64; a frame carries float32"),
    ("uint16 without a name", np.zeros(2, np.uint16), "and bfloat16 as Tensor"),
    ("float32 called bfloat16", Tensor(np.zeros(2, np.float32), "bfloat16"), "array of float32 given as bfloat16"),
    ("an unknown type", Tensor(np.zeros(2, np.float32), "float8"), "given as float8; a frame carries"),
    ("objects", np.array([{}, None], dtype=object), "array of object"),
    ("a list", [1.0, 2.0], "tensor a is a list; give an array of numpy"),
    ("9 dimensions", np.zeros((1,) * 9, np.float32), "has 9 dimensions; the most is 8"),
    ("a view of 4 TiB", np.broadcast_to(np.float32(0), (1 << 20, 1 << 20)), "claims 1048576x1048576"),
]


@pytest.mark.parametrize(("tensor", "message"), [case[1:] for case in GIVEN], ids=[case[0] for case in GIVEN])
def test_what_no_receiver_would_take_is_not_sealed(tensor: Any, message: str) -> None:
    with pytest.raises(FrameRefused, match=message):
        seal(HEAD, {"a": tensor}, KEY)


def test_a_head_can_be_read_before_the_body_is_there() -> None:
    data = small()
    body_at = len(data) - 2 * 64 - 32
    for size in range(body_at):
        with pytest.raises(FrameBroken, match=rf"has {size} bytes; its (first 24|head lies in the first {body_at})"):
            open_head(data[:size], KEY)
    for size in range(body_at, len(data) + 1):
        assert open_head(data[:size], KEY) == HEAD
    with pytest.raises(FrameRefused, match="head does not bear its tag"):
        open_head(data[:body_at], OTHER_KEY)


def test_bytes_that_lie_in_pieces_are_refused() -> None:
    with pytest.raises(FrameRefused, match="lies in pieces"):
        open_frame(memoryview(small() * 2)[::2], KEY)
