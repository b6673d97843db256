"""A model that reads pictures, in the LLaVA format in miniature: random weights, the words of a real checkpoint."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

__all__ = ["IMAGE_TOKENS", "tiny_llava"]

SIDE, PATCH = 56, 14
IMAGE_TOKENS = (SIDE // PATCH) ** 2
"""Tokens that one picture takes of a prompt."""
IMAGE = "<image>"
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tiny_llava(folder: Path, words: Path) -> Path:
    """A checkpoint of two narrow layers that sees 56×56 pixels in 16 patches, about 10 MB.

    Args:
        folder: Where it is written.
        words: A checkpoint in the transformers layout, whose tokenizer it takes.
    """
    folder.mkdir(parents=True)
    tokenizer = Tokenizer.from_file(str(words / "tokenizer.json"))
    tokenizer.add_special_tokens([AddedToken(IMAGE, special=True, normalized=False)])
    tokenizer.save(str(folder / "tokenizer.json"))
    shutil.copy(words / "tokenizer_config.json", folder)
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    _write(folder / "preprocessor_config.json", _SIGHT)
    _write(folder / "processor_config.json", _PROCESSOR)
    torch.manual_seed(0)
    model: Any = LlavaForConditionalGeneration(_config(tokenizer))
    model.to(torch.bfloat16).save_pretrained(folder)
    return folder


def _config(tokenizer: Tokenizer) -> LlavaConfig:
    place = tokenizer.token_to_id(IMAGE)
    assert place is not None
    sight = CLIPVisionConfig(
        hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2, image_size=SIDE,
        patch_size=PATCH, projection_dim=64, initializer_range=0.2,
    )  # fmt: skip
    words = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2, head_dim=32, max_position_embeddings=512,
        tie_word_embeddings=False, bos_token_id=1, eos_token_id=2, pad_token_id=2, initializer_range=0.2,
    )  # fmt: skip
    return LlavaConfig(
        vision_config=sight, text_config=words, image_token_index=place,
        vision_feature_select_strategy="default", vision_feature_layer=-1, image_seq_length=IMAGE_TOKENS,
        tie_word_embeddings=False,
    )  # fmt: skip


_SIGHT = {
    "image_processor_type": "CLIPImageProcessorPil",
    "do_resize": True,
    "size": {"shortest_edge": SIDE},
    "do_center_crop": True,
    "crop_size": {"height": SIDE, "width": SIDE},
    "do_rescale": True,
    "do_normalize": True,
    "do_convert_rgb": True,
}
_PROCESSOR = {
    "processor_class": "LlavaProcessor",
    "patch_size": PATCH,
    "num_additional_image_tokens": 1,
    "vision_feature_select_strategy": "default",
    "image_token": IMAGE,
}


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2))
