"""The two language models of a bridge, frozen, in float32."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (torch and its like leave arguments untyped)

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from sensorium.errors import CallerError
from sensorium.latent.identity import Weight, identity

__all__ = ["Receiving", "Sending", "layer_of", "loaded_identities"]

_CONFIG: Any = AutoConfig  # what these classes load decides what they are
_MODEL: Any = AutoModelForCausalLM
_TOKENIZER: Any = AutoTokenizer


def layer_of(tap: str) -> int:
    """The number of layers behind which a tap reads.

    Raises:
        CallerError: The tap is none that a bridge is trained at.
    """
    found = re.fullmatch(r"hidden\[([0-9]+)\]", tap)
    if found is None or int(found[1]) < 1:
        raise CallerError(f"tap is {tap!r}; a bridge of language models reads hidden[k] with k of 1 or more")
    return int(found[1])


def loaded_identities(folder: str | Path) -> list[str]:
    """Identities of a checkpoint as a run loads it: in bfloat16, which profiles have by default, and in float32."""
    return [_loaded_identity(folder, dtype) for dtype in (torch.bfloat16, torch.float32)]


def _loaded_identity(folder: str | Path, dtype: torch.dtype) -> str:
    options = {"local_files_only": True, "use_safetensors": True, "dtype": dtype}
    model, tokenizer = _MODEL.from_pretrained(folder, **options), _TOKENIZER.from_pretrained(folder)
    weights = (
        Weight(name, str(one.dtype), tuple(one.shape), one.contiguous().flatten().view(torch.uint8).numpy().tobytes())
        for name, one in sorted(model.state_dict().items())
    )
    return identity(weights, tokenizer.backend_tokenizer.to_str())


class Sending:
    """A language model's first layers, as far as the tap."""

    def __init__(self, folder: str | Path, tap: str) -> None:
        config: Any = _CONFIG.from_pretrained(folder)
        layers = layer_of(tap)
        if layers >= config.num_hidden_layers:
            raise CallerError(f"tap is {tap!r}; the sender has {config.num_hidden_layers} layers: take a lower one")
        config.num_hidden_layers = layers
        if getattr(config, "layer_types", None):
            config.layer_types = config.layer_types[:layers]
        self.tokenizer: Any = _TOKENIZER.from_pretrained(folder)
        whole: Any = _MODEL.from_pretrained(folder, config=config, dtype=torch.float32)
        self.model: Any = whole.model.requires_grad_(False).eval()
        self.model.norm = nn.Identity()
        self.width: int = config.hidden_size

    def states(self, ids: torch.Tensor) -> torch.Tensor:
        """States at the tap, [texts, positions, width]."""
        with torch.inference_mode():
            return torch.as_tensor(self.model(input_ids=ids, use_cache=False).last_hidden_state)


class Receiving:
    """A language model that reads rows in place of a text."""

    def __init__(self, folder: str | Path) -> None:
        self.tokenizer: Any = _TOKENIZER.from_pretrained(folder)
        self.model: Any = _MODEL.from_pretrained(folder, dtype=torch.float32).requires_grad_(False).eval()
        self.embeddings: torch.Tensor = self.model.get_input_embeddings().weight.data
        self.width: int = self.embeddings.shape[1]

    def ids(self, text: str) -> torch.Tensor:
        """Tokens of a text, [tokens]."""
        return torch.tensor(self.tokenizer(text, add_special_tokens=False).input_ids, dtype=torch.long)

    def rows(self, text: str) -> torch.Tensor:
        """Input embeddings of a text, [tokens, width]."""
        return self.embeddings[self.ids(text)]

    def losses(self, prompts: list[torch.Tensor], forced: list[torch.Tensor]) -> list[torch.Tensor]:
        """Negative log-likelihoods, in nats, of the tokens that are forced behind prompts of rows; [tokens] each."""
        joined = [torch.cat([rows, self.embeddings[ids]]) for rows, ids in zip(prompts, forced, strict=True)]
        batch = nn.utils.rnn.pad_sequence(joined, batch_first=True)
        mask = nn.utils.rnn.pad_sequence([torch.ones(len(rows)) for rows in joined], batch_first=True).long()
        states = self.model.model(inputs_embeds=batch, attention_mask=mask, use_cache=False).last_hidden_state
        picked = [
            states[index, len(rows) - 1 : len(rows) + len(ids) - 1]
            for index, (rows, ids) in enumerate(zip(prompts, forced, strict=True))
        ]
        logits = self.model.lm_head(torch.cat(picked)).float()
        losses: Any = nn.functional.cross_entropy(logits, torch.cat(forced), reduction="none")
        return list(losses.split([len(ids) for ids in forced]))
