"""A GGUF language model as a directory that transformers loads: weights in bfloat16, tokenizer and chat template."""

# pyright: reportUnknownMemberType=false
# (transformers leaves arguments of its loaders untyped)

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

from sensorium.errors import OperatorError

__all__ = ["convert"]


def convert(source: Path, target: Path) -> None:
    """Fills `target` from the only `.gguf` file in `source`.

    Raises:
        OperatorError: There is none, or more than one.
    """
    files = sorted(source.glob("*.gguf"))
    if len(files) != 1:
        raise OperatorError(f"{source} holds {len(files)} GGUF files; one is needed")
    model = AutoModelForCausalLM.from_pretrained(
        source,
        gguf_file=files[0].name,
        dtype=torch.bfloat16,
        quantization_config=GgufConfig(dequantize=True),  # without it the tensors stay in blocks that cannot be saved
    )
    model.save_pretrained(target)
    AutoTokenizer.from_pretrained(source, gguf_file=files[0].name).save_pretrained(target)
