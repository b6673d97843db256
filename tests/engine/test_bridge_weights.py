"""Weights of a bridge that were made to harm whoever reads them."""

from __future__ import annotations

import hashlib
import os
import struct
from pathlib import Path

import pytest

from sensorium.errors import AuthorError
from sensorium.latent.bridge import read_bridge
from tests.engine.test_latent_bridge import made


@pytest.mark.parametrize("nested", [b"[", b'{"a":'])
def test_a_head_that_nests_too_deep_is_refused(tmp_path: Path, nested: bytes) -> None:
    head = nested * (60_000 // len(nested))
    body = struct.pack("<Q", len(head)) + head
    folder = made(tmp_path, sha256=hashlib.sha256(body).hexdigest())
    (folder / "weights.safetensors").write_bytes(body)
    with pytest.raises(AuthorError, match=r"weights\.safetensors.*its head cannot be read"):
        read_bridge(folder).arrays  # noqa: B018


def test_a_file_that_is_far_too_large_is_not_read(tmp_path: Path) -> None:
    folder = made(tmp_path)
    os.truncate(folder / "weights.safetensors", 1 << 40)
    with pytest.raises(AuthorError, match=r"it has 1,099,511,627,776 bytes; at most [\d,]+ would be right"):
        read_bridge(folder).arrays  # noqa: B018
