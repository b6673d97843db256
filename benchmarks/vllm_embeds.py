"""Whether prompt embeddings say through vLLM what the same tokens say: `python benchmarks/vllm_embeds.py [--python P]`.

200 prompts for SmolLM2-135M, made of the requests and sentences beside this file, each continued greedily by 24 tokens:
once from token ids, once from the rows of the checkpoint's embedding matrix, in the type that is served. One request at
a time, without a prefix cache, every prompt read in chunks of the same size; a third of the prompts is longer than one.
Where the two differ, the ids are sent once more: a server that differs from itself explains it.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import csv
import json
import statistics
import struct
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import httpx
import numpy as np
import numpy.typing as npt
from report import Figure, report
from tokenizers import Tokenizer

from sensorium.model import VLLM_REQUIREMENTS, Placement
from sensorium.model.vllm.endpoints import BackOff
from sensorium.model.vllm.started import Started, server_binding
from sensorium.model.vllm.torch_file import write_tensor
from sensorium.project import Project
from sensorium.spec.projectfile import ModelSetting

HERE = Path(__file__).parent
CHECKPOINT = "smollm2-135m-transformers"
NUM_PROMPTS, NUM_TOKENS = 200, 24
CHUNK_TOKENS = 128
"""How many tokens of a prompt the server reads at once."""
CONTEXT_TOKENS = 1024
FLAGS = {"enable-prefix-caching": False, "max-num-batched-tokens": CHUNK_TOKENS, "max-num-seqs": 1}
MOST_TIMES = 1.5
_CALL_S = 300.0


class Continued(NamedTuple):
    """What came of a prompt."""

    ids: list[int]
    seconds: float


class Pair(NamedTuple):
    """A prompt, continued from ids and from embeddings."""

    prompt: list[int]
    from_ids: Continued
    from_embeds: Continued

    @property
    def is_equal(self) -> bool:
        return self.from_ids.ids == self.from_embeds.ids


def prompts() -> Iterator[str]:
    """Requests as a chat opens with them, and every third one behind enough sentences to fill more than a chunk."""
    sentences = (HERE / "sentences.txt").read_text(encoding="utf-8").split("\n")
    names = ("routing.tsv", "routing-fresh.tsv")
    rows = [row for name in names for row in csv.DictReader((HERE / name).open(encoding="utf-8"), delimiter="\t")]
    for number, row in enumerate(rows):
        told = " ".join(sentences[number % 5 :]) + "\n" if number % 3 == 2 else ""
        yield f"<|im_start|>user\n{told}{row['request']}<|im_end|>\n<|im_start|>assistant\n"


def embedding_matrix(checkpoint: Path) -> npt.NDArray[np.uint16]:
    """The bits of the input embeddings, bfloat16 [vocabulary, width]. Source: the safetensors format's README."""
    path = checkpoint / "model.safetensors"
    with path.open("rb") as file:
        (header_bytes,) = struct.unpack("<Q", file.read(8))
        header: dict[str, Any] = json.loads(file.read(header_bytes))
    told = header["model.embed_tokens.weight"]
    assert told["dtype"] == "BF16", told
    place = 8 + header_bytes + told["data_offsets"][0]
    return np.memmap(path, "<u2", "r", place, tuple(told["shape"]))


class Server:
    """A server, asked one thing at a time.

    Args:
        url: Up to `/v1`.
        key: What it is shown.
        served: The model, as it calls it.
        matrix: Bits of the model's input embeddings, [vocabulary, width].
    """

    def __init__(self, url: str, key: str, served: str, matrix: npt.NDArray[np.uint16]) -> None:
        self._client = httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=_CALL_S, trust_env=False
        )
        self._served = served
        self._matrix = matrix

    def from_ids(self, ids: list[int]) -> Continued:
        """The continuation of token ids."""
        return self._continued({"prompt": ids})

    def from_embeds(self, ids: list[int]) -> Continued:
        """The continuation of the rows that the ids have in the embedding matrix."""
        rows = self._matrix[ids]
        data = write_tensor(rows.tobytes(), rows.shape, "bfloat16")
        return self._continued({"prompt_embeds": base64.b64encode(data).decode()})

    def _continued(self, prompt: dict[str, Any]) -> Continued:
        asked = {"model": self._served, "max_tokens": NUM_TOKENS, "temperature": 0, "return_token_ids": True, **prompt}
        began_s = perf_counter()
        reply = self._client.post("completions", json=asked)
        seconds = perf_counter() - began_s
        if reply.is_error:
            raise SystemExit(f"the server answers {reply.status_code}: {reply.text[:400]}")
        return Continued(reply.json()["choices"][0]["token_ids"], seconds)


def explained(server: Server, pair: Pair) -> dict[str, Any]:
    """Where a pair parts, and whether the server parts from itself there."""
    again = server.from_ids(pair.prompt).ids
    both = zip(pair.from_ids.ids, pair.from_embeds.ids, strict=False)
    place = next((place for place, (one, other) in enumerate(both) if one != other), -1)
    return {
        "prompt_tokens": len(pair.prompt),
        "parts_at": place,
        "from_ids": pair.from_ids.ids,
        "from_embeds": pair.from_embeds.ids,
        "ids_differ_from_themselves": again != pair.from_ids.ids,
    }


def measure(server: Server, tokenizer: Tokenizer) -> None:
    """Continues all prompts both ways, taking turns in which comes first; prints and writes the figures."""
    asked = [tokenizer.encode(text, add_special_tokens=False).ids for text in islice(prompts(), NUM_PROMPTS)]
    server.from_ids(asked[0])
    server.from_embeds(asked[0])
    pairs: list[Pair] = []
    for number, ids in enumerate(asked):
        if number % 2:
            embeds = server.from_embeds(ids)
            pairs.append(Pair(ids, server.from_ids(ids), embeds))
        else:
            pairs.append(Pair(ids, server.from_ids(ids), server.from_embeds(ids)))
    parted = [explained(server, pair) for pair in pairs if not pair.is_equal]
    ratio = statistics.median(pair.from_embeds.seconds / pair.from_ids.seconds for pair in pairs)
    lengths = [len(pair.prompt) for pair in pairs]
    equal = sum(pair.is_equal for pair in pairs)
    report(
        "vllm_embeds",
        [
            Figure("prompts continued alike from ids and from embeddings", equal, len(pairs), at_most=False),
            Figure("time from embeddings, in times that from ids, median", ratio, MOST_TIMES),
        ],
        checkpoint=CHECKPOINT,
        flags=FLAGS,
        prompts=len(pairs),
        different_continuations=len({tuple(pair.from_ids.ids) for pair in pairs}),
        prompt_tokens={"least": min(lengths), "median": statistics.median(lengths), "most": max(lengths)},
        longer_than_a_chunk=sum(length > CHUNK_TOKENS for length in lengths),
        seconds_from_ids=statistics.median(pair.from_ids.seconds for pair in pairs),
        seconds_from_embeds=statistics.median(pair.from_embeds.seconds for pair in pairs),
        parted=parted,
    )


async def main(python: Path | None) -> None:
    """Starts the server, measures, ends it."""
    project = Project(None)
    place = Placement(
        project.checkpoints.directory(CHECKPOINT),
        project.checkpoints.digest(CHECKPOINT),
        project.worker_host,
        keep_warm_s=0,
        python=python or project.environments.python(VLLM_REQUIREMENTS),
    )
    setting = ModelSetting(
        checkpoint=CHECKPOINT, backend="vllm", context_tokens=CONTEXT_TOKENS, dtype="bfloat16", flags={**FLAGS}
    )
    started = Started(server_binding(setting, place), place.host, BackOff())
    try:
        async for _ in started.ready():
            pass
        (endpoint,) = started.endpoints.every
        served = started.binding.settings["SENSORIUM_SERVED"]
        server = Server(f"{endpoint.url}/", endpoint.key or "", served, embedding_matrix(place.checkpoint))
        await asyncio.to_thread(measure, server, Tokenizer.from_file(str(place.checkpoint / "tokenizer.json")))
    finally:
        await project.worker_host.unload(started.binding)
        await project.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", type=Path, help="an interpreter that has vLLM, instead of the environment's")
    asyncio.run(main(parser.parse_args().python))
