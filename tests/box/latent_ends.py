"""Real language models at the ends of latent wires, and checkpoints that look alike and are not."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from sensorium.checkpoint import Checkpoints
from sensorium.errors import OperatorError
from sensorium.host import WorkerHost
from sensorium.latent.frame import FrameHead, Tensor
from sensorium.latent.sealing import Sealer
from sensorium.latent.spaces import End
from sensorium.model import TransformersModel, open_model
from sensorium.model.contract import Message
from sensorium.model.transformers import Score
from sensorium.parts import Blob, Latent
from sensorium.project import Project
from sensorium.project.folders import home_folder
from sensorium.spec.projectfile import ModelSetting
from sensorium.store import Store

__all__ = [
    "CONTEXT_TOKENS",
    "DTYPE",
    "Served",
    "behind",
    "pulled",
    "resealed",
    "serve",
    "tuned",
    "with_other_tokenizer",
]

CONTEXT_TOKENS = 512
DTYPE = "float32"
"""Many processors compute in bfloat16 ten times slower; benchmarks/bit_equality.py measures both."""

_CHECKPOINT = "smollm2-135m-transformers"
_WEIGHTS = "model.safetensors"


@dataclass(frozen=True, slots=True)
class Served:
    """A language model in a process of its own."""

    directory: Path
    """Its checkpoint."""
    model: TransformersModel
    end: End
    sealer: Sealer

    async def held(self, text: str, thoughts: int = 0) -> Latent:
        """What it holds when it has read a text, and thought."""
        return (await self.model.hold((Message("user", text),), thoughts=thoughts)).context

    async def frames(self, context: Latent, *spaces: str) -> list[Blob]:
        """What a context comes to in spaces."""
        return [(await self.model.give(context, space)).blob for space in spaces]

    async def scored(self, *messages: Message, fresh: bool = True) -> Score:
        """The logits of a reply."""
        return await self.model.score(messages, "It is red.", logits=True, fresh=fresh)


def pulled() -> Path:
    """Directory of the checkpoint, where it is there already."""
    try:
        return Checkpoints(home_folder(), Project(None).manifests).directory(_CHECKPOINT)
    except OperatorError as error:
        pytest.skip(str(error))


@asynccontextmanager
async def serve(
    directory: Path, digest: str, home: Path, *, dtype: str = DTYPE, context_tokens: int = CONTEXT_TOKENS
) -> AsyncGenerator[Served]:
    """A checkpoint, served until this ends. Those of one home share a key and a store."""
    store = Store(home / "store")
    sealer, host = Sealer(store, home), WorkerHost(home, store)
    setting = ModelSetting(checkpoint=_CHECKPOINT, backend="transformers", dtype=dtype, context_tokens=context_tokens)
    model = open_model("central", setting, checkpoint=directory, digest=digest, host=host, keep_warm_s=0, sealer=sealer)
    assert isinstance(model, TransformersModel)
    try:
        yield Served(directory, model, await model.end(), sealer)
    finally:
        await host.unload(model.binding)
        await host.close()


def behind(context: Latent, rung: str, frame: Blob, question: str = "What colour is it?") -> Message:
    """A question behind what crosses by a rung."""
    return Message("user", question, parts=(msgspec.structs.replace(context, rung=rung, frame=frame),))


def resealed(sealer: Sealer, blob: Blob, tensors: dict[str, Tensor] | None = None, **changes: Any) -> Blob:
    """A frame that says otherwise, or holds something else, under the right key."""
    frame = sealer.open(blob)
    own = {name: Tensor(array, frame.dtypes[name]) for name, array in frame.tensors.items()}
    head: FrameHead = msgspec.structs.replace(frame.head, **changes)
    return sealer.seal(head, {**own, **(tensors or {})})


def tuned(directory: Path, target: Path) -> Path:
    """The same checkpoint one step of fine-tuning later: config, tokenizer, names, shapes and types are the same."""
    shutil.copytree(directory, target)
    loader: Any = AutoModelForCausalLM
    tokenizers: Any = AutoTokenizer
    model: Any = loader.from_pretrained(directory, local_files_only=True, dtype=torch.float32)
    tokens = tokenizers.from_pretrained(directory, local_files_only=True)("The sky is green.", return_tensors="pt")
    model(**tokens, labels=tokens["input_ids"]).loss.backward()
    torch.optim.SGD(model.parameters(), lr=1e-2).step()
    before, after = load_file(directory / _WEIGHTS), model.state_dict()
    save_file({name: after[name].to(old.dtype) for name, old in before.items()}, target / _WEIGHTS, {"format": "pt"})
    return target


def with_other_tokenizer(directory: Path, target: Path) -> Path:
    """The same checkpoint, with a tokenizer that lacks its rarest merge."""
    shutil.copytree(directory, target)
    file = target / "tokenizer.json"
    told = json.loads(file.read_text(encoding="utf-8"))
    told["model"]["merges"].pop()
    file.write_text(json.dumps(told), encoding="utf-8")
    return target
