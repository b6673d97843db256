from __future__ import annotations

import io
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import soundfile  # pyright: ignore[reportMissingTypeStubs] - it has none
from PIL import Image as PillowImage

from sensorium.admit import Admission
from sensorium.errors import CallerError
from sensorium.parts import Audio, Boxes, Data, Flag, Image, Latent, Masks, Number, Points, Segment, Segments, Text
from sensorium.spec.ports import PortType
from sensorium.store import Store

Door = Admission


@pytest.fixture
def door(tmp_path: Path) -> Admission:
    return Admission(Store(tmp_path / "store"))


def port(text: str) -> PortType:
    return PortType.parse(text)


def picture_bytes(kind: str = "PNG", size: tuple[int, int] = (6, 4)) -> bytes:
    target = io.BytesIO()
    PillowImage.new("RGB", size, (200, 30, 30)).save(target, format=kind)
    return target.getvalue()


def png_of(width: int, height: int) -> bytes:
    """A picture that is all header: what it claims would fill the memory, were it decoded."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def sound_bytes(kind: str = "WAV", subtype: str | None = None, *, seconds: float = 0.5, channels: int = 1) -> bytes:
    target = io.BytesIO()
    samples = np.sin(np.linspace(0, 440, int(16000 * seconds), dtype=np.float32))[:, None].repeat(channels, axis=1) / 2
    soundfile.write(target, samples, 16000, format=kind, subtype=subtype)
    return target.getvalue()


# Pictures


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WebP"])
def test_the_bytes_of_common_pictures_are_kept(door: Door, tmp_path: Path, kind: str) -> None:
    data = picture_bytes(kind)
    path = tmp_path / "picture"
    path.write_bytes(data)
    for value in (path, str(path), data):
        image = door.admit(value, port("image"), name="picture")
        assert isinstance(image, Image)
        assert (image.width, image.height, image.blob.read()) == (6, 4, data)


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF"])
def test_other_pictures_become_png(door: Door, kind: str) -> None:
    image = door.admit(picture_bytes(kind), port("image"), name="picture")
    assert isinstance(image, Image)
    assert image.blob.media_type == "image/png"
    assert image.open().convert("RGB").getpixel((0, 0)) == (200, 30, 30)


def test_a_turned_picture_is_measured_upright(door: Door) -> None:
    target = io.BytesIO()
    exif = PillowImage.Exif()
    exif[0x0112] = 6
    PillowImage.new("RGB", (6, 4)).save(target, format="JPEG", exif=exif)
    image = door.admit(target.getvalue(), port("image"), name="picture")
    assert isinstance(image, Image)
    assert (image.width, image.height) == (4, 6) == image.open().size


def test_pictures_come_as_objects_and_arrays(door: Door) -> None:
    red = np.zeros((4, 6, 3), np.uint8)
    red[..., 0] = 255
    from_array = door.admit(red, port("image"), name="picture")
    from_object = door.admit(PillowImage.fromarray(red), port("image"), name="picture")
    assert isinstance(from_array, Image)
    assert from_array == from_object
    assert np.array_equal(np.asarray(from_array.open()), red)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", r"is empty"),
        (b"hello, I am a text\n", "is text, not a picture; give PNG"),
        (b"\x00\x01\x02\x03" * 10, "no known picture format"),
        (picture_bytes("PNG")[:45], "damaged PNG"),
        (picture_bytes("JPEG", (64, 64))[:-200], "damaged JPEG"),
        (picture_bytes("WebP")[:30], "damaged WebP"),
        (picture_bytes("GIF")[:20], "damaged GIF"),
        (picture_bytes("TIFF")[:20], "damaged TIFF"),
        (b"\x89PNG\r\n\x1a\n" + b"\xff" * 64, "damaged PNG"),
        (png_of(20_000, 20_000), "20000 x 20000 pixels, 400 million; the most is 40 million"),
        (png_of(2**31 - 1, 2**31 - 1), "the most is 40 million"),
        (picture_bytes("PNG", (1, 1)), "1 x 1 pixels"),
    ],
)
def test_a_bad_picture_is_refused_by_name(door: Door, tmp_path: Path, data: bytes, says: str) -> None:
    path = tmp_path / "cat.png"
    path.write_bytes(data)
    with pytest.raises(CallerError, match=says) as refused:
        door.admit_text([f"@{path}"], port("image"), name="picture")
    assert str(refused.value).startswith(f"input picture: {path} ")


def test_a_huge_picture_is_refused_before_it_is_decoded(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[int] = []
    monkeypatch.setattr("sensorium.media.decode_image", lambda data: decoded.append(len(data)))  # pyright: ignore[reportUnknownArgumentType, reportUnknownLambdaType] - never called
    for size in ((20_000, 20_000), (13_000, 13_000), (40_000_001, 1)):
        with pytest.raises(CallerError, match="the most is 40 million"):
            door.admit(png_of(*size), port("image"), name="picture")
    assert not decoded


@pytest.mark.parametrize("kind", ["GIF", "WebP", "PNG", "TIFF"])
def test_a_long_animation_is_refused(door: Door, kind: str) -> None:
    target = io.BytesIO()
    frames = [PillowImage.new("RGB", (4, 4), (index * 7, 0, 0)) for index in range(33)]
    frames[0].save(target, format=kind, save_all=True, append_images=frames[1:])
    with pytest.raises(CallerError, match="more than 32 frames"):
        door.admit(target.getvalue(), port("image"), name="picture")


@pytest.mark.parametrize("kind", ["GIF", "TIFF"])
def test_of_a_short_animation_the_first_frame_is_taken(door: Door, kind: str) -> None:
    target = io.BytesIO()
    frames = [PillowImage.new("RGB", (4, 4), (200 - index * 20, 0, 0)) for index in range(4)]
    frames[0].save(target, format=kind, save_all=True, append_images=frames[1:])
    image = door.admit(target.getvalue(), port("image"), name="picture")
    assert isinstance(image, Image)
    assert image.open().convert("RGB").getpixel((0, 0)) == (200, 0, 0)


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros((4, 4), np.float32), "4x4 of float32; a picture is uint8"),
        (np.zeros((4, 4, 2), np.uint8), "4x4x2"),
        (np.zeros(4, np.uint8), "array 4 of uint8"),
    ],
)
def test_an_array_that_is_no_picture_is_refused(door: Door, array: object, says: str) -> None:
    with pytest.raises(CallerError, match=says):
        door.admit(array, port("image"), name="picture")


# Sound


@pytest.mark.parametrize(
    ("kind", "subtype"),
    [("WAV", "PCM_16"), ("WAV", "PCM_24"), ("WAV", "FLOAT"), ("FLAC", None), ("OGG", None), ("MP3", None)],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_sound_becomes_mono_floats_at_its_own_rate(door: Door, kind: str, subtype: str | None, channels: int) -> None:
    audio = door.admit(sound_bytes(kind, subtype, channels=channels), port("audio"), name="sound")
    assert isinstance(audio, Audio)
    assert audio.rate_hz == 16000
    assert audio.seconds == pytest.approx(0.5, abs=0.1)
    samples = audio.load()
    assert samples.dtype == np.float32
    assert samples.shape == (round(audio.seconds * 16000),)
    assert 0.3 < np.abs(samples).max() < 0.6


def test_sound_comes_as_samples_with_a_rate(door: Door) -> None:
    samples = np.linspace(-1, 1, 100, dtype=np.float32)
    audio = door.admit((samples, 8000), port("audio"), name="sound")
    whole = door.admit((np.array([-32768, 16384], np.int16), 8000), port("audio"), name="sound")
    assert isinstance(audio, Audio)
    assert isinstance(whole, Audio)
    assert np.array_equal(audio.load(), samples)
    assert whole.load().tolist() == [-1.0, 0.5]


def wav_that_claims(num_bytes: int) -> bytes:
    head = struct.pack("<IHHIIHH", 16, 1, 1, 16000, 32000, 2, 16)
    return b"RIFF" + struct.pack("<I", 0xFFFFFFFF) + b"WAVEfmt " + head + b"data" + struct.pack("<I", num_bytes)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (b"", "is empty"),
        (b"hello, I am a text\n", "not sound that can be read; give wav, flac, ogg or mp3"),
        (sound_bytes(seconds=0), "0 seconds"),
        (wav_that_claims(0xFFFFFFF0), "claims 4,294,967,280 bytes of sound, the file has 0"),
        (sound_bytes()[:-100], "is cut short"),
        (sound_bytes("FLAC")[:2000], "is damaged|is cut short"),
        (sound_bytes("AIFF"), "format AIFF"),
        ((np.zeros(0, np.float32), 16000), "0 seconds"),
        ((np.array([0.0, np.nan], np.float32), 16000), "not numbers"),
        ((np.array([0.0, np.inf], np.float32), 16000), "not numbers"),
        ((np.array([0.0, 30000.0], np.float32), 16000), "samples up to 30000"),
        ((np.zeros(10, np.float32), 0), "rate of 0 Hz"),
        ((np.zeros(10, np.float32), 400_000), "rate of 400,000 Hz"),
        ((np.zeros(10, np.float32), 16000.5), "whole number"),
        ((np.zeros((2, 2, 2), np.float32), 16000), "shape"),
        ((np.zeros(14_500_000, np.float16), 1000), "4.0 hours at 1,000 Hz; the most is 4 hours"),
        (3, "is a int"),
    ],
)
def test_bad_sound_is_refused(door: Door, value: object, says: str) -> None:
    with pytest.raises(CallerError, match=says):
        door.admit(value, port("audio"), name="sound")


def test_a_file_of_bad_sound_is_named(door: Door, tmp_path: Path) -> None:
    path = tmp_path / "hello.wav"
    path.write_bytes(sound_bytes()[:-100])
    with pytest.raises(CallerError, match="cut short") as refused:
        door.admit(str(path), port("audio"), name="sound")
    assert str(refused.value).startswith(f"input sound: {path} ")


# Text, numbers, flags, data


def test_plain_values_become_parts(door: Door) -> None:
    assert door.admit("hé", port("text"), name="x") == Text("hé")
    assert door.admit(3, port("number"), name="x") == Number(3.0)
    assert door.admit(np.float32(0.5), port("number"), name="x") == Number(0.5)
    assert door.admit(np.bool_(True), port("flag"), name="x") == Flag(True)
    assert door.admit({"a": [1, None, (2.5, "b")]}, port("data"), name="x") == Data({"a": [1, None, [2.5, "b"]]})
    assert door.admit(None, port("text?"), name="x") is None


@pytest.mark.parametrize(
    ("texts", "kind", "wanted"),
    [
        (["hello"], "text", Text("hello")),
        (["@@home"], "text", Text("@home")),
        (["$x"], "text", Text("$x")),
        (["3e2"], "number", Number(300.0)),
        (["true"], "flag", Flag(True)),
        (["false"], "flag", Flag(False)),
        (['{"a": 1}'], "data", Data({"a": 1})),
        (["[[1, 2, 3, 4]]"], "boxes", Boxes(((1.0, 2.0, 3.0, 4.0),))),
        (["a", "b"], "[text]", (Text("a"), Text("b"))),
    ],
)
def test_texts_of_a_command_line_become_parts(door: Door, texts: list[str], kind: str, wanted: object) -> None:
    assert door.admit_text(texts, port(kind), name="x") == wanted


@pytest.mark.parametrize(
    ("content", "kind", "wanted"),
    [
        ("héllo\n".encode(), "text", Text("héllo\n")),
        (b"\xef\xbb\xbfhello", "text", Text("hello")),
        (b"2.5\n", "number", Number(2.5)),
        (b"true\n", "flag", Flag(True)),
        (b'{"a": [1]}', "data", Data({"a": [1]})),
        (b"[[1, 2], [3, 4]]", "points", Points(((1.0, 2.0), (3.0, 4.0)))),
        (b'[[0, 1.5, "hi"]]', "segments", Segments((Segment(0.0, 1.5, "hi"),))),
    ],
)
def test_files_are_read_as_the_kind_of_their_port(
    door: Door, tmp_path: Path, content: bytes, kind: str, wanted: object
) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    assert door.admit_text([f"@{path}"], port(kind), name="x") == wanted
    assert door.admit(path, port(kind), name="x") == wanted


@pytest.mark.parametrize(
    ("value", "kind", "says"),
    [
        (None, "text", "input x is missing; it takes text"),
        (3, "text", "is a int; give text"),
        ("half a \ud83d", "text", "lone surrogate"),
        ("nul\0", "text", "NUL character at 3"),
        ("x" * (1 << 20) + "x", "text", "the most is 1,048,576"),
        (True, "number", "is a bool; give a number"),
        (float("nan"), "number", "is nan; give a finite number"),
        (10**400, "number", "is inf"),
        (1, "flag", "is a int"),
        ({1: 2}, "data", "as a name"),
        ({"a": float("inf")}, "data", "is inf"),
        ({"a": {2, 3}}, "data", "holds a set"),
        ({"a": 1 << 64}, "data", "at most 64 bits"),
        ("a\ud800", "data", "lone surrogate"),
        (["x" * 9_000_000], "data", "the most is 8,388,608"),
        ([[1, 2, 3]], "boxes", "row of 3"),
        ([[5, 5, 2, 2]], "boxes", "end lies before its start"),
        ([[float("nan"), 0, 1, 1]], "boxes", "is nan"),
        ([[2, 1, "x"]], "segments", "start before end"),
        (Text("x"), "image", "is text; give an image"),
        (b"x", "latent(see.patches)", "give a file that `save` wrote, or a part"),
        ("x", "[text]", "give a list of text values"),
    ],
)
def test_a_value_of_another_kind_is_refused(door: Door, value: object, kind: str, says: str) -> None:
    with pytest.raises(CallerError, match=says):
        door.admit(value, port(kind), name="x")


@pytest.mark.parametrize(
    ("text", "kind", "says"),
    [
        ("three", "number", "'three'; give a number"),
        ("inf", "number", "is inf"),
        ("yes", "flag", "give true or false"),
        ("cat.png", "image", "takes an image; give a file as x=@FILE"),
        ("@nowhere.png", "image", r"nowhere.png is not there"),
        ('{"a": NaN}', "data", "holds NaN"),
        ('{"a": 1e999}', "data", "is inf"),
        ('{"a": 1, "a": 2}', "data", "name 'a' twice"),
        ('{"a": "\\ud800"}', "data", "lone surrogate"),
        ("[" * 100_000, "data", "nests deeper"),
        ("[" * 66 + "]" * 66, "data", "nests deeper"),
        ("1" * 5000, "data", "integer that is too long"),
        ("{'a': 1}", "data", "is not JSON"),
    ],
)
def test_a_text_that_does_not_fit_is_refused(door: Door, text: str, kind: str, says: str) -> None:
    with pytest.raises(CallerError, match=says):
        door.admit_text([text], port(kind), name="x")


def test_text_that_is_not_utf_8_is_refused(door: Door, tmp_path: Path) -> None:
    path = tmp_path / "old.txt"
    path.write_bytes("größe".encode("latin-1"))
    with pytest.raises(CallerError, match=r"old.txt is not UTF-8 \(byte 2 is 0xf6\)"):
        door.admit_text([f"@{path}"], port("text"), name="x")


def test_one_input_given_twice_is_refused(door: Door) -> None:
    with pytest.raises(CallerError, match="is given 2 times; it takes text, once"):
        door.admit_text(["a", "b"], port("text"), name="x")


# Lists


def test_a_folder_is_a_list_in_order_of_name(door: Door, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index, name in enumerate(["b.png", "a.png", ".hidden"]):
        (folder / name).write_bytes(picture_bytes(size=(4 + index, 4)))
    for images in (
        door.admit_text([f"@{folder}"], port("[image]"), name="pictures"),
        door.admit(folder, port("[image]"), name="pictures"),
        door.admit(str(folder), port("[image]"), name="pictures"),
    ):
        assert isinstance(images, tuple)
        assert [image.width for image in images if isinstance(image, Image)] == [5, 4]


def test_of_a_list_the_bad_element_is_named(door: Door, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture_bytes())
    (tmp_path / "b.png").write_bytes(b"no picture")
    with pytest.raises(CallerError, match=r"input pictures: .*b.png is text"):
        door.admit_text([f"@{tmp_path / 'a.png'}", f"@{tmp_path / 'b.png'}"], port("[image]"), name="pictures")
    with pytest.raises(CallerError, match="input x: element 1 is a int; give text"):
        door.admit(["a", 1], port("[text]"), name="x")


def test_of_a_folder_files_that_do_not_fit_are_left_aside_and_told(tmp_path: Path) -> None:
    left: list[tuple[str, str]] = []
    door = Admission(Store(tmp_path / "store"), lambda path, why: left.append((path.name, why)))
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, data in {"a.png": picture_bytes(), "notes.txt": b"no picture", "z.png": picture_bytes()}.items():
        (folder / name).write_bytes(data)
    images = door.admit_text([f"@{folder}", f"@{folder / 'z.png'}"], port("[image]"), name="pictures")
    assert isinstance(images, tuple)
    assert door.files["pictures"] == tuple(str(folder / name) for name in ("a.png", "z.png", "z.png"))
    assert [name for name, _ in left] == ["notes.txt"]
    assert left[0][1].startswith("is text, not a picture")


def test_a_folder_in_which_nothing_fits_is_refused(door: Door, tmp_path: Path) -> None:
    folder = tmp_path / "letters"
    folder.mkdir()
    (folder / "a.txt").write_text("dear")
    with pytest.raises(CallerError, match=r"letters holds no file that is an image: a\.txt is text"):
        door.admit(folder, port("[image]"), name="pictures")
    with pytest.raises(CallerError, match=r"letters holds no file that is an image: a\.txt is text"):
        door.admit_text([f"@{folder}"], port("[image]"), name="pictures")


def test_an_empty_folder_is_refused(door: Door, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    with pytest.raises(CallerError, match="holds no files"):
        door.admit_text([f"@{tmp_path / 'none'}"], port("[image]"), name="pictures")


# Masks, latents


def npy(array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> bytes:
    target = io.BytesIO()
    np.save(target, array)
    return target.getvalue()


def test_masks_come_as_arrays_and_npy_files(door: Door, tmp_path: Path) -> None:
    masks = np.zeros((2, 3, 4), bool)
    masks[0, 1, 2] = True
    path = tmp_path / "masks.npy"
    path.write_bytes(npy(masks))
    for value in (masks, path, npy(np.asfortranarray(masks)), masks.astype(np.uint8) * 255):
        admitted = door.admit(value, port("masks"), name="masks")
        assert isinstance(admitted, Masks)
        assert (admitted.count, admitted.height, admitted.width) == (2, 3, 4)
        assert np.array_equal(admitted.load(), masks)


def npy_header(shape: str, descr: str = "|b1") -> bytes:
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"hello", "not a .npy file"),
        (npy_header("(1, 1000, 1000)"), "0 bytes of masks where its header claims 1,000,000"),
        (npy_header("(1099511627776, 4, 4)"), "all together 1024 MiB"),
        (npy_header("(-1, 4, 4)"), "masks where its header claims|shape"),
        (npy_header("(1, 4, 4)", "|O") + b"cos\nsystem\n", "array of object"),
        (npy(np.full((1, 2, 2), 0.5)), "array of float64"),
        (npy(np.full((1, 2, 2), 7, np.uint8)), "values other than 0, 1 and 255"),
        (npy(np.zeros(5, bool)), "array of shape 5"),
    ],
)
def test_bad_masks_are_refused(door: Door, data: bytes, says: str) -> None:
    with pytest.raises(CallerError, match=says):
        door.admit(data, port("masks"), name="masks")


def test_parts_of_another_store_are_copied(door: Door, tmp_path: Path) -> None:
    elsewhere = Admission(Store(tmp_path / "elsewhere"))
    image = elsewhere.admit(picture_bytes(), port("image"), name="picture")
    assert isinstance(image, Image)
    mine = door.admit(image, port("image"), name="picture")
    assert isinstance(mine, Image)
    assert mine.blob == image.blob
    assert mine.blob.place is not image.blob.place
    assert mine.blob.path.exists()


def test_a_latent_must_be_whole_finite_and_of_its_space(door: Door, tmp_path: Path) -> None:
    store = Store(tmp_path / "elsewhere")
    blob = store.put(np.arange(4, dtype=np.float32).tobytes(), "application/octet-stream")
    good = Latent("see.patches", "w", (2, 2), "float32", blob)
    assert door.admit(good, port("latent(see.patches)"), name="x") == good
    bad = store.put(np.array([np.nan], np.float32).tobytes(), "application/octet-stream")
    for latent, says in (
        (Latent("see.pooled", "w", (2, 2), "float32", blob), "latent of space see.pooled"),
        (Latent("see.patches", "w", (2, 3), "float32", blob), "16 bytes where its shape wants 24"),
        (Latent("see.patches", "w", (2, 2), "object", blob), "has the type 'object'"),
        (Latent("see.patches", "w", (1,), "float32", bad), "NaN or infinity"),
    ):
        with pytest.raises(CallerError, match=says):
            door.admit(latent, port("latent(see.patches)"), name="x")


def safetensors(header: object, body: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def latent_header(**changed: object) -> dict[str, object]:
    tensor = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16], **changed}
    return {"__metadata__": {"space": "see.patches", "weights": "w", "twin": "a cat"}, "latent": tensor}


def test_a_latent_comes_from_the_file_that_was_saved(door: Door, tmp_path: Path) -> None:
    path = tmp_path / "patches.safetensors"
    path.write_bytes(safetensors(latent_header(), np.arange(4, dtype=np.float32).tobytes()))
    latent = door.admit_text([f"@{path}"], port("latent(see.patches)"), name="x")
    assert isinstance(latent, Latent)
    assert (latent.weights, latent.twin, latent.load().tolist()) == ("w", "a cat", [[0.0, 1.0], [2.0, 3.0]])
    with pytest.raises(CallerError, match=r"is a latent of space 'see.patches'; give a latent of space see.pooled"):
        door.admit(str(path), port("latent(see.pooled)"), name="x")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"short", "is no latent's file"),
        (struct.pack("<Q", 1 << 63) + b"{}", "is no latent's file"),
        (safetensors({"a": 1}, b""), "is no latent's file"),
        (safetensors(b'{"latent": 1, "latent": 2}', b""), "name 'latent' twice"),
        (safetensors({**latent_header(), "other": {}}, bytes(16)), "is no latent's file"),
        (safetensors(latent_header(shape=[1 << 39, 1 << 39]), bytes(16)), "16 bytes where its shape wants"),
        (safetensors(latent_header(shape=[-2, -2]), bytes(16)), "does not fit"),
        (safetensors(latent_header(dtype="F64"), bytes(16)), "does not fit"),
        (safetensors(latent_header(data_offsets=[0, 1 << 41]), bytes(16)), "does not fit"),
        (safetensors(latent_header(), bytes(12)), "does not fit"),
        (safetensors(latent_header(), np.full(4, np.nan, np.float32).tobytes()), "NaN or infinity"),
    ],
)
def test_a_bad_file_of_a_latent_is_refused(door: Door, tmp_path: Path, data: bytes, says: str) -> None:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(data)
    with pytest.raises(CallerError, match=says):
        door.admit(path, port("latent(see.patches)"), name="x")


@pytest.mark.parametrize(
    ("dtype", "shape", "size", "says"),
    [
        ("F32", [2, 2], 16, r"is float32 \[2, 2\]; right is its recipe, int32 \[entries\]"),
        ("I32", [], 4, r"is int32 \[\]"),
        ("I32", [2, 2], 16, r"is int32 \[2, 2\]"),
        ("I32", [0], 0, r"is int32 \[0\]"),
        ("U8", [2, 2], 4, r"is uint8 \[2, 2\]"),
    ],
)
def test_a_context_is_a_recipe_or_a_text(
    door: Door, tmp_path: Path, dtype: str, shape: list[int], size: int, says: str
) -> None:
    header = latent_header(dtype=dtype, shape=shape, data_offsets=[0, size])
    header["__metadata__"] = {"space": "lm.context", "weights": "w"}
    path = tmp_path / "context.safetensors"
    path.write_bytes(safetensors(header, bytes(size)))
    with pytest.raises(CallerError, match=says):
        door.admit(path, port("latent(lm.context)"), name="x")
    good = latent_header(dtype="I32", shape=[2], data_offsets=[0, 8]) | {"__metadata__": header["__metadata__"]}
    path.write_bytes(safetensors(good, bytes(8)))
    assert isinstance(door.admit(path, port("latent(lm.context)"), name="x"), Latent)


def test_what_is_admitted_as_data_can_be_written_as_json(door: Door) -> None:
    data = door.admit({"a": (np.int64(1), np.float32(2.0))}, port("data"), name="x")
    assert isinstance(data, Data)
    assert json.loads(str(data)) == {"a": [1, 2.0]}
