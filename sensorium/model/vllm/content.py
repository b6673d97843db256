"""Messages as an OpenAI-compatible chat takes them: text, pictures, sound and latents."""

from __future__ import annotations

import base64
import dataclasses
import io
import re
from typing import Any

from PIL import Image as PillowImage

from sensorium import media
from sensorium.model.contract import Ask, Message, MessagePart, shown
from sensorium.model.template import harmless
from sensorium.model.vllm.embeds import UNKNOWN, EmbedsForm
from sensorium.parts import Audio, Image, Latent

__all__ = ["messages_of", "prompt_of"]

_PLACEHOLDER = re.compile(r"<(?:image|audio|video|prompt_embeds|##[A-Z_]+##)>")
"""How models and vLLM mark the place of a part: a text that said so would be taken for one."""
_ORIENTATION = 0x0112
"""EXIF's tag for which way up a picture is; 1 is upright."""
_SENT = ("image/png", "image/jpeg")


def messages_of(ask: Ask, form: EmbedsForm = UNKNOWN) -> list[dict[str, Any]]:
    """The messages of `ask`, each with `role` and `content`: text, or a list of content parts where it has parts.

    Text can neither open nor close a turn, nor stand for a part: such marks in it are broken by a space.

    Args:
        ask: What is asked.
        form: The input embeddings that the served model takes.

    Raises:
        CallerError: A latent is none of the model's input embeddings.
        OperatorError: The bytes of a part are gone.
    """
    return [{"role": message.role, "content": _content(message, form)} for message in ask.messages]


def prompt_of(ask: Ask) -> str:
    """The same messages for people: each behind its role in brackets, its parts named in brackets."""
    written = (dataclasses.replace(message, content=_text(message)) for message in ask.messages)
    return "\n".join(f"[{message.role}]\n{shown(message)}" for message in written)


def _text(message: Message) -> str:
    return _PLACEHOLDER.sub(lambda match: f"{match[0][:-1]} >", harmless(message.content))


def _content(message: Message, form: EmbedsForm) -> str | list[dict[str, Any]]:
    text = _text(message)
    if not message.parts:
        return text
    words = [{"type": "text", "text": text}] if text else []
    return [*(_part(part, form) for part in message.parts), *words]


def _part(part: MessagePart, form: EmbedsForm) -> dict[str, Any]:
    match part:
        case Image():
            return {"type": "image_url", "image_url": {"url": _picture(part)}}
        case Audio():
            return {"type": "input_audio", "input_audio": {"data": _base64(part.blob.read()), "format": "wav"}}
        case Latent():
            return {"type": "prompt_embeds", "data": form.written(part)}


def _picture(part: Image) -> str:
    """A data URL of PNG or JPEG: the file as it came where any reader sees it as we do, else the upright picture."""
    data, media_type = part.blob.read(), part.blob.media_type
    if media_type not in _SENT or not _is_plain(data):
        data, media_type = media.encode_png(media.decode_image(data)), "image/png"
    return f"data:{media_type};base64,{_base64(data)}"


def _is_plain(data: bytes) -> bool:
    with PillowImage.open(io.BytesIO(data)) as image:
        return image.mode in ("L", "RGB", "RGBA") and image.getexif().get(_ORIENTATION, 1) == 1


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
