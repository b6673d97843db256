"""What a pooling server gives is held against what was asked for, before it is decoded."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sensorium.errors import CallerError, ModelError
from sensorium.model.vllm.embeds import UNKNOWN, EmbedsForm
from sensorium.model.vllm.pooling import Pooling
from sensorium.store import Store

ROWS = np.arange(0x3F80, 0x3F80 + 12, dtype="<u2").reshape(3, 4)
"""Bits of bfloat16: three rows of four numbers a little above 1."""


def reply(rows: bytes = ROWS.tobytes(), tokens: int = 3, results: int = 1) -> bytes:
    result = {"index": 0, "object": "pooling", "data": base64.b64encode(rows).decode()}
    return json.dumps({"data": [result] * results, "usage": {"prompt_tokens": tokens}}).encode()


class Answering:
    """A server that says what it is told to say, and keeps what it was asked."""

    def __init__(self, body: bytes) -> None:
        self.asked: list[Mapping[str, Any]] = []
        self._body = body

    async def __call__(self, body: Mapping[str, Any]) -> bytes:
        self.asked.append(body)
        return self._body


def pooling(tmp_path: Path, body: bytes, form: EmbedsForm = UNKNOWN) -> Pooling:
    return Pooling(Answering(body), "weights", Store(tmp_path / "store"), form)


@pytest.mark.parametrize("form", [UNKNOWN, EmbedsForm(4)])
async def test_a_text_becomes_a_row_for_each_token(tmp_path: Path, form: EmbedsForm) -> None:
    server = Answering(reply())
    hidden = await Pooling(server, "weights", Store(tmp_path), form).hidden("A cat sat.")
    assert (hidden.space, hidden.weights, hidden.shape, hidden.dtype) == ("lm.hidden", "weights", (3, 4), "bfloat16")
    assert np.array_equal(hidden.load(), ROWS)
    (body,) = server.asked
    assert (body["input"], body["add_special_tokens"], body["task"]) == ("A cat sat.", False, "token_embed")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"no JSON", "gave no hidden states"),
        (b"{}", "gave no hidden states: Object missing required field"),
        (b'{"data": [{"data": [1.0]}], "usage": {"prompt_tokens": 1}}', "Expected `str`, got `array`"),
        (b'{"data": [{"data": "\xff"}], "usage": {"prompt_tokens": 1}}', "gave no hidden states"),
        (reply(results=2), "gave 2 results for one text"),
        (reply(tokens=4), "32 characters of base64 for 4 tokens; rows of 4 numbers of bfloat16"),
        (reply(tokens=0), "for 0 tokens"),
        (reply(tokens=-3), "for -3 tokens"),
        (reply(rows=b""), "0 characters of base64 for 3 tokens"),
        (reply(rows=ROWS.tobytes()[:-2]), "characters of base64 for 3 tokens|has 22 bytes where its shape wants 24"),
        (reply().replace(b"gD+B", b"!D+B"), "cannot be taken"),
        (reply(rows=np.full((3, 4), 0x7FC0, "<u2").tobytes()), "holds NaN or infinity"),
        (b'{"data": [{"other": ' + b"[" * 60_000, "gave no hidden states"),
        (reply(tokens=10**15), "for 1000000000000000 tokens"),
    ],
)
async def test_anything_else_is_the_models_error(tmp_path: Path, body: bytes, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        await pooling(tmp_path, body, EmbedsForm(4)).hidden("A cat sat.")


@pytest.mark.parametrize(
    "body", [reply(rows=b"", tokens=3), reply(tokens=0), reply(tokens=-1), reply(tokens=5), reply(tokens=10**400)]
)
async def test_where_no_width_is_known_the_rows_must_still_be_whole(tmp_path: Path, body: bytes) -> None:
    with pytest.raises(ModelError, match="the pooling server gave"):
        await pooling(tmp_path, body).hidden("A cat sat.")


async def test_an_empty_text_is_not_sent(tmp_path: Path) -> None:
    with pytest.raises(CallerError, match="an empty text has no hidden states"):
        await pooling(tmp_path, reply()).hidden("")
