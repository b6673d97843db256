"""What a result says, writes and draws."""

from __future__ import annotations

import json
import stat
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from sensorium import media
from sensorium.errors import OperatorError
from sensorium.events import Figures, RunId
from sensorium.graph import ErrorReport, NodeReport, Result
from sensorium.parts import (
    Audio,
    Boxes,
    Data,
    Flag,
    Image,
    Latent,
    Masks,
    Number,
    Points,
    Segment,
    Segments,
    Text,
    Value,
)
from sensorium.spec.ports import PortType
from sensorium.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def picture(store: Store) -> Image:
    return Image(store.put(media.encode_png(PillowImage.new("RGB", (4, 3), (9, 9, 9))), "image/png"), 4, 3)


def result_of(outputs: dict[str, tuple[str, Value]]) -> Result:
    return Result(
        RunId("r1"),
        "demo",
        "done",
        {port: value for port, (_, value) in outputs.items()},
        {port: PortType.parse(kind) for port, (kind, _) in outputs.items()},
        (),
        1.5,
    )


def test_outputs_are_attributes_and_items() -> None:
    result = result_of({"answer": ("text", Text("yes")), "status": ("text", Text("fine"))})
    assert result.answer == Text("yes") == result["answer"]
    assert result.status == "done"
    assert result["status"] == Text("fine")
    with pytest.raises(AttributeError, match="did you mean 'answer'"):
        _ = result.anwser
    with pytest.raises(KeyError, match="no output 'other'"):
        _ = result["other"]
    assert dict(result) == {"answer": Text("yes"), "status": Text("fine")}
    assert ("answer" in result, "other" in result) == (True, False)


def test_media_are_written_as_files_and_named_in_json(store: Store, tmp_path: Path) -> None:
    masks = np.zeros((2, 3, 4), bool)
    masks[1, 1, 1] = True
    latent = store.put(np.arange(4, dtype=np.float32).tobytes(), "application/octet-stream")
    result = result_of(
        {
            "overlay": ("image", picture(store)),
            "speech": ("audio", Audio(store.put(media.encode_wav(np.zeros(8), 8000), "audio/wav"), 0.001, 8000)),
            "masks": ("masks", Masks(store.put(media.encode_masks(masks), "application/x-npy"), 2, 3, 4)),
            "album": ("[image]", (picture(store), None, picture(store))),
            "patches": ("latent(see.patches)", Latent("see.patches", "w", (2, 2), "float32", latent, "a cat")),
            "answer": ("text", Text("yes")),
            "nothing": ("image?", None),
        }
    )
    folder = tmp_path / "out"
    files = result.save(folder)
    assert {port: [path.name for path in paths] for port, paths in files.items()} == {
        "overlay": ["overlay.png"],
        "speech": ["speech.wav"],
        "masks": ["masks.npy", "masks-000.png", "masks-001.png"],
        "album": ["album-000.png", "album-002.png"],
        "patches": ["patches.safetensors"],
    }
    assert sorted(path.name for path in folder.iterdir()) == sorted(p.name for paths in files.values() for p in paths)
    assert np.array_equal(np.load(folder / "masks.npy"), masks)
    assert PillowImage.open(folder / "masks-001.png").getpixel((1, 1)) == 255
    assert stat.S_IMODE((folder / "overlay.png").stat().st_mode) == 0o644
    told = result.to_json(folder)["outputs"]
    assert told["overlay"] == {"type": "image", "path": str(folder / "overlay.png")}
    assert told["speech"] == {"type": "audio", "path": str(folder / "speech.wav")}
    assert told["masks"]["previews"] == [str(folder / "masks-000.png"), str(folder / "masks-001.png")]
    assert told["album"]["type"] == "[image]"
    assert told["album"]["items"][1] is None
    assert told["patches"]["twin"] == "a cat"
    assert told["answer"] == {"type": "text", "text": "yes"}
    assert told["nothing"] is None


def test_a_latent_is_written_as_the_format_says(store: Store, tmp_path: Path) -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    blob = store.put(media.encode_tensor(array, "float32"), "application/octet-stream")
    result_of({"x": ("latent(a.b)", Latent("a.b", "w", (2, 3), "float32", blob))}).save(tmp_path)
    data = (tmp_path / "x.safetensors").read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + size])
    assert header["latent"] == {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}
    assert np.array_equal(np.frombuffer(data[8 + size :], np.float32).reshape(2, 3), array)


def test_a_picture_keeps_the_format_that_it_came_in(store: Store, tmp_path: Path) -> None:
    PillowImage.new("RGB", (4, 3)).save(tmp_path / "a.jpg")
    data = (tmp_path / "a.jpg").read_bytes()
    result = result_of({"photo": ("image", Image(store.put(data, "image/jpeg"), 4, 3))})
    (path,) = result.save(tmp_path / "out")["photo"]
    assert path.name == "photo.jpg"
    assert path.read_bytes() == data


@pytest.mark.parametrize(
    ("kind", "value", "told"),
    [
        ("number", Number(2.5), {"type": "number", "value": 2.5}),
        ("flag", Flag(True), {"type": "flag", "value": True}),
        ("boxes", Boxes(((1.0, 2.0, 3.0, 4.0),)), {"type": "boxes", "value": [[1.0, 2.0, 3.0, 4.0]]}),
        ("points", Points(((1.0, 2.0),)), {"type": "points", "value": [[1.0, 2.0]]}),
        ("segments", Segments((Segment(0.0, 1.0, "hi"),)), {"type": "segments", "value": [[0.0, 1.0, "hi"]]}),
        ("data", Data({"a": [1]}), {"type": "data", "value": {"a": [1]}}),
        ("[text]", (Text("a"),), {"type": "[text]", "items": [{"type": "text", "text": "a"}]}),
        ("[text]?", (), {"type": "[text]", "items": []}),
    ],
)
def test_values_are_told_as_json(kind: str, value: Value, told: object) -> None:
    assert json.loads(json.dumps(result_of({"x": (kind, value)}).to_json()))["outputs"]["x"] == told


def test_a_run_is_told_with_its_nodes_and_its_error() -> None:
    error = ErrorReport("tool", "tool shout: it is broken", "shout")
    nodes = (
        NodeReport("look", "tool", "see", "done", 0.25, cached=True, figures=Figures(900, 12, 2, 1)),
        NodeReport("shout", "tool", "shout", "failed", 1.0, cached=False, error=error),
    )
    told = Result(RunId("r1"), "demo", "failed", {}, {}, nodes, 1.5, error).to_json()
    assert told == {
        "run": "r1",
        "graph": "demo",
        "status": "failed",
        "seconds": 1.5,
        "outputs": {},
        "nodes": [
            {
                "node": "look",
                "tool": "see",
                "status": "done",
                "seconds": 0.25,
                "cached": True,
                "bytes_in": 900,
                "bytes_out": 12,
                "calls": 2,
                "kept": 1,
            },
            {
                "node": "shout",
                "tool": "shout",
                "status": "failed",
                "seconds": 1.0,
                "cached": False,
                "bytes_in": 0,
                "bytes_out": 0,
                "calls": 0,
                "kept": 0,
                "error": {"kind": "tool", "message": "tool shout: it is broken"},
            },
        ],
        "error": {"kind": "tool", "message": "tool shout: it is broken", "node": "shout"},
    }


def test_media_stay_in_the_store_where_no_folder_is_given(store: Store) -> None:
    image = picture(store)
    told = result_of({"x": ("image", image)}).to_json()["outputs"]["x"]
    assert told == {"type": "image", "path": str(image.blob.path)}


def test_a_folder_that_cannot_be_written_is_named(store: Store, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OperatorError, match=r"out.overlay\.png cannot be written"):
        result_of({"overlay": ("image", picture(store))}).save(tmp_path / "out")


def test_files_of_an_earlier_result_do_not_stand_beside_fewer_new_ones(store: Store, tmp_path: Path) -> None:
    def masks(count: int) -> Value:
        blob = store.put(media.encode_masks(np.ones((count, 2, 2), dtype=np.bool_)), "application/x-npy")
        return Masks(blob, count, 2, 2)

    for name in ("cut-notes.png", "cutlet-000.png"):
        (tmp_path / name).write_text("a person's own")
    for count in (2, 0):
        result_of({"cut": ("masks", masks(count)), "all": ("[image]", (picture(store),) * count)}).save(tmp_path)
    assert {path.name for path in tmp_path.glob("*.*")} == {"cut.npy", "cut-notes.png", "cutlet-000.png"}
