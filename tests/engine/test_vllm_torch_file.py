"""What torch reads of a file that was written without it: `tests/box` holds the file against torch itself."""

from __future__ import annotations

import io
import pickletools
import zipfile

import numpy as np
import pytest

from sensorium.model.vllm.torch_file import write_tensor

TWO_BY_THREE = np.arange(6, dtype="<f4").tobytes()


def test_the_archive_has_stored_entries_and_nothing_of_the_clock() -> None:
    written = write_tensor(TWO_BY_THREE, (2, 3), "float32")
    assert written == write_tensor(TWO_BY_THREE, (2, 3), "float32")
    with zipfile.ZipFile(io.BytesIO(written)) as archive:
        assert archive.namelist() == [f"archive/{name}" for name in ("data.pkl", "byteorder", "data/0", "version")]
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
        assert archive.read("archive/data/0") == TWO_BY_THREE
        assert archive.testzip() is None


def test_the_pickle_names_a_tensor_and_nothing_else() -> None:
    with zipfile.ZipFile(io.BytesIO(write_tensor(TWO_BY_THREE, (2, 3), "float32"))) as archive:
        opcodes = list(pickletools.genops(archive.read("archive/data.pkl")))
    named = [argument for opcode, argument, _ in opcodes if opcode.name == "GLOBAL"]
    assert named == ["torch._utils _rebuild_tensor_v2", "torch FloatStorage", "collections OrderedDict"]
    numbers = [argument for opcode, argument, _ in opcodes if opcode.name == "BININT"]
    assert numbers == [6, 0, 2, 3, 3, 1]  # how many, from which one, the sides, the steps


@pytest.mark.parametrize(
    ("data", "shape", "dtype", "message"),
    [
        (TWO_BY_THREE, (2, 3), "int32", "a tensor of int32; one of float32, float16, bfloat16"),
        (TWO_BY_THREE[:-1], (2, 3), "float32", "23 bytes where shape"),
        (TWO_BY_THREE, (2, 2), "float32", "24 bytes where shape"),
    ],
)
def test_what_is_no_such_tensor_is_not_written(data: bytes, shape: tuple[int, ...], dtype: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write_tensor(data, shape, dtype)
