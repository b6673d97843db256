"""Messages with parts, as an OpenAI-compatible chat takes them."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from sensorium import media
from sensorium.errors import CallerError, OperatorError
from sensorium.model.contract import Ask, Message, MessagePart
from sensorium.model.vllm.content import messages_of
from sensorium.model.vllm.embeds import UNKNOWN, EmbedsForm
from sensorium.model.vllm.endpoints import Endpoint
from sensorium.model.vllm.refusal import refusal
from sensorium.model.vllm.torch_file import write_tensor
from sensorium.parts import Audio, Image, Latent
from sensorium.store import Store

FORM = EmbedsForm(width=4, positions=3)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def picture(store: Store, image: PillowImage.Image, kind: str, **options: Any) -> Image:
    target = io.BytesIO()
    image.save(target, kind, **options)
    upright = media.decode_image(target.getvalue())
    return Image(store.put(target.getvalue(), f"image/{kind}"), upright.width, upright.height)


def latent(
    store: Store, rows: int = 2, width: int = 4, *, space: str = "lm.embeds", dtype: str = "float32", value: float = 0.5
) -> Latent:
    array = np.full((rows, width), value, dtype=media.TENSOR_DTYPES[dtype])
    data = media.encode_tensor(array, dtype)
    return Latent(space, "weights", (rows, width), dtype, store.put(data, "application/octet-stream"))


def content(*parts: MessagePart, text: str = "What is this?", form: EmbedsForm = UNKNOWN) -> Any:
    (message,) = messages_of(Ask((Message("user", text, parts),)), form)
    assert message["role"] == "user"
    return message["content"]


def url_bytes(part: dict[str, Any]) -> tuple[str, bytes]:
    head, _, body = part["image_url"]["url"].partition(";base64,")
    return head, base64.b64decode(body)


def test_messages_of_words_alone_are_text() -> None:
    ask = Ask((Message("system", "Be brief."), Message("user", "Hi")))
    assert messages_of(ask) == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]


@pytest.mark.parametrize("mark", ["<image>", "<prompt_embeds>", "<##IMAGE##>", "<|im_end|>", "<|image_pad|>", "</s>"])
def test_a_text_stands_for_no_part_and_closes_no_turn(mark: str) -> None:
    assert mark not in content(text=f"a {mark} b")
    assert content(text="<img> a < b") == "<img> a < b"


@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_a_picture_goes_out_as_it_came_and_before_the_text(store: Store, kind: str) -> None:
    part = picture(store, PillowImage.new("RGB", (6, 4), (200, 30, 30)), kind)
    shown, text = content(part)
    assert url_bytes(shown) == (f"data:image/{kind}", part.blob.read())
    assert text == {"type": "text", "text": "What is this?"}


def test_a_picture_that_lies_on_its_side_goes_out_upright(store: Store) -> None:
    exif = PillowImage.Exif()
    exif[0x0112] = 6
    image = PillowImage.new("RGB", (6, 4), (200, 30, 30))
    image.putpixel((0, 0), (0, 0, 255))
    (shown, _) = content(picture(store, image, "png", exif=exif))
    head, data = url_bytes(shown)
    sent = PillowImage.open(io.BytesIO(data))
    assert (head, sent.size, sent.getexif().get(0x0112)) == ("data:image/png", (4, 6), None)
    assert sent.getpixel((3, 0)) == (0, 0, 255)


@pytest.mark.parametrize(("kind", "mode"), [("webp", "RGB"), ("png", "I;16"), ("png", "P")])
def test_other_formats_and_depths_go_out_as_plain_png(store: Store, kind: str, mode: str) -> None:
    (shown, _) = content(picture(store, PillowImage.new(mode, (6, 4)), kind))
    head, data = url_bytes(shown)
    assert head == "data:image/png"
    assert PillowImage.open(io.BytesIO(data)).mode in ("L", "RGB", "RGBA")


def test_sound_goes_out_as_its_wave_file(store: Store) -> None:
    samples = np.linspace(-1, 1, 160, dtype=np.float32)
    wav = media.encode_wav(samples, 16_000)
    (heard,) = content(Audio(store.put(wav, "audio/wav"), 0.01, 16_000), text="")
    assert heard["type"] == "input_audio"
    assert heard["input_audio"]["format"] == "wav"
    assert base64.b64decode(heard["input_audio"]["data"]) == wav


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_a_latent_goes_out_as_a_file_of_torch(store: Store, dtype: str) -> None:
    part = latent(store, dtype=dtype, value=1)
    sent, _ = content(part, form=FORM)
    assert sent["type"] == "prompt_embeds"
    assert base64.b64decode(sent["data"]) == write_tensor(part.blob.read(), (2, 4), dtype)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ({"space": "lm.hidden"}, "of space 'lm.hidden', and this language model reads 'lm.embeds'"),
        ({"dtype": "int64"}, "the latent is of int64; input embeddings are float32, float16, bfloat16"),
        ({"width": 5}, "rows of 5 numbers, and this language model's input embeddings have 4"),
        ({"rows": 5}, "has 5 rows, 2 more than the 3 positions"),
        ({"value": float("nan")}, "space lm.embeds holds NaN or infinity"),
        ({"value": float("inf")}, "space lm.embeds holds NaN or infinity"),
        ({"rows": 0}, r"has the shape 0×4; input embeddings are \[tokens, width\]"),
    ],
)
def test_what_is_no_input_embedding_of_the_model_is_not_sent(store: Store, made: dict[str, Any], message: str) -> None:
    with pytest.raises(CallerError, match=message):
        content(latent(store, **made), form=FORM)


def test_a_latent_whose_bytes_are_not_as_many_as_it_says_is_not_sent(store: Store) -> None:
    whole = latent(store)
    claimed = Latent(whole.space, whole.weights, (3, 4), whole.dtype, whole.blob)
    with pytest.raises(CallerError, match="has 32 bytes where its shape wants 48"):
        content(claimed, form=FORM)


@pytest.mark.parametrize("nested", [False, True])
def test_a_checkpoint_tells_what_it_takes(tmp_path: Path, nested: bool) -> None:
    words = {"hidden_size": 64, "max_position_embeddings": 512}
    (tmp_path / "config.json").write_text(json.dumps({"text_config": words} if nested else words))
    assert EmbedsForm.of(tmp_path) == EmbedsForm(64, 512)
    assert EmbedsForm.of(tmp_path, context_tokens=128) == EmbedsForm(64, 128)


@pytest.mark.parametrize("written", [None, "{", "[]", "{}", '{"hidden_size": "wide"}'])
def test_a_checkpoint_that_tells_nothing_is_for_the_operator(tmp_path: Path, written: str | None) -> None:
    if written is not None:
        (tmp_path / "config.json").write_text(written)
    with pytest.raises(OperatorError, match="tells no hidden_size"):
        EmbedsForm.of(tmp_path)


@pytest.mark.parametrize(
    "said",
    [
        "At most 0 audio(s) may be provided in one prompt. (parameter=audio)",
        "`prompt_embeds` hidden_size 288 does not match the model's hidden_size 576. (parameter=prompt_embeds)",
        "You must set `--enable-prompt-embeds` to input `prompt_embeds`",
        "Failed to load image: cannot identify image file",
    ],
)
def test_a_part_that_a_server_refuses_is_the_callers_to_leave_out(said: str) -> None:
    body = json.dumps({"error": {"message": said, "type": "BadRequestError", "code": 400}}).encode()
    refused = refusal(Endpoint("http://127.0.0.1:1/v1", None, "far"), 400, body, {})
    assert isinstance(refused, CallerError)
    assert str(refused).startswith(f"the server far answers 400: {said}")
