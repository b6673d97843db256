"""KV of a real model through the codecs: what it says next is hardly changed, and nothing of the text goes along."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache

from sensorium.checkpoint import Checkpoints
from sensorium.latent.kv import KvShape, Rope, decode, encode
from sensorium.latent.kv_files import read_tables
from sensorium.project import Project

NAME = "smollm2-135m-transformers"
TABLES = Path(__file__).parents[2] / "codecs" / NAME
TEXT = (
    "The harbour lamp had been dark for eleven nights when the keeper's daughter rowed out with a can of oil. She "
    "found the door swollen shut, three gulls asleep on the stairs, and a note in her father's hand that said the "
    "wick was in the blue tin. By morning two fishing boats and a steamer had come in behind the breakwater, and "
    "nobody asked her how long she meant to stay."
)
CODECS = [
    ("int8", 12_240, 0.999),
    ("klt4", 5_760, 0.999),
    ("klt3", 4_320, 0.995),
    ("klt2", 2_880, 0.99),
    ("klt1", 1_440, 0.97),
]
"""Each with its bytes a token, and how much of the message it is to keep."""


class Reader:
    def __init__(self) -> None:
        project = Project(None)
        checkpoints: Checkpoints = project.checkpoints
        folder = checkpoints.directory(NAME)
        tokenizer: Any = AutoTokenizer
        self.tokenizer = tokenizer.from_pretrained(folder)
        model: Any = AutoModelForCausalLM
        self.model = model.from_pretrained(folder, dtype=torch.float32).eval()
        self.rope = Rope(self.model.model.rotary_emb.inv_freq.double().numpy(), 0)

    def ids(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False).input_ids
        return ids

    def kv(self, text: str) -> Any:
        with torch.inference_mode():
            held = self.model(torch.tensor([self.ids(text)]), use_cache=True).past_key_values
        return np.stack([np.stack([layer.keys[0].numpy(), layer.values[0].numpy()]) for layer in held.layers])

    def cost(self, kv: Any) -> float:
        """Nats that the text costs when it is to be repeated behind a cache."""
        held = DynamicCache()
        for number, (keys, values) in enumerate(torch.as_tensor(kv)):
            held.update(keys[None], values[None], number)
        text = self.ids(TEXT)
        asked = self.ids("\n\nRepeat the text above word for word.<|im_end|>\n<|im_start|>assistant\n")
        with torch.inference_mode():
            logits = self.model(torch.tensor([[*asked, *text]]), past_key_values=held).logits[0]
        chances = logits[len(asked) - 1 : -1].log_softmax(-1)
        return -float(chances.gather(1, torch.tensor(text)[:, None]).sum())


@pytest.mark.models
def test_a_real_message_keeps_what_it_says_at_the_bytes_that_each_codec_has() -> None:
    reader, tables = Reader(), read_tables(TABLES)
    kv, silence = reader.kv("<|im_start|>user\n" + TEXT), reader.kv("<|im_start|>user\n")
    whole, without = reader.cost(kv), reader.cost(silence)
    shape = KvShape(kv.shape[0], kv.shape[2], kv.shape[3], kv.shape[4])
    torch.set_num_threads(1)
    for codec, bytes_per_token, least in CODECS:
        tensors = encode(codec, kv, reader.rope, tables)
        assert sum(tensor.nbytes for tensor in tensors.values()) <= bytes_per_token * shape.positions
        heard = reader.cost(decode(codec, tensors, reader.rope, tables, shape))
        assert (without - heard) / (without - whole) >= least, codec
