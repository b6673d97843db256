"""How much of each prompt a model has read before: `python benchmarks/prefix.py [--profile small]`.

Ten turns of `chat`: with tools and without, two pictures and a recording attached on the way, questions that only what
was said before answers. Every prompt is cut into tokens by the checkpoint's own tokenizer. Of each prompt behind the
first turn's, the tokens count as shared that it begins with together with an earlier prompt of the conversation: what a
cache that keeps prefixes has of it. A cache that keeps whole blocks of 16 tokens, as vLLM's does, has a little less.
The model's own report is beside it: a little more, for what it said itself, less where it let go of an earlier prompt.

The counts of the tokenizer and of the model must be equal. Needs the recordings of Debian's pocketsphinx-testdata.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any

from describe_and_cut import FOLDERS
from report import Figure, report
from transcribe import DATA
from transformers import AutoTokenizer

from sensorium.admit import Admission
from sensorium.agent import Script
from sensorium.events import Event, ModelAsked, PromptSent, ToolCalled
from sensorium.graph import RunOptions
from sensorium.project import Project
from sensorium.project.conversation import Conversation
from sensorium.project.folders import home_folder

CAT, COFFEE = (FOLDERS["skimage"] / "data" / name for name in ("chelsea.png", "coffee.png"))
RECORDING = DATA / "librivox" / "sense_and_sensibility_01_austen_64kb-0870.wav"
TURNS: tuple[tuple[Path | None, str], ...] = (
    (CAT, "What is in this picture?"),
    (None, "Cut out the cat."),
    (None, "How long does such an animal live?"),
    (None, "Where is the rocket?"),
    (COFFEE, "What can be seen in the new picture?"),
    (None, "Where is the cup?"),
    (None, "Which animal did I ask you about before?"),
    (RECORDING, "What is said in this recording?"),
    (None, "Read this text aloud: the cat and the cup."),
    (None, "Thank you. Say in one sentence what we have talked about."),
)
"""What is attached before a turn, and what is asked."""
LIMIT = 0.95
BLOCK_TOKENS = 16


@dataclass(frozen=True, slots=True)
class Asked:
    """One prompt."""

    turn: int
    kind: str
    """`choose`, `fill`, `answer` or `further`."""
    tokens: Sequence[int]
    shared: int
    """How many tokens it begins with as an earlier prompt did."""
    reused_tokens: int
    """How many of them the model says that it had."""

    @property
    def in_blocks(self) -> int:
        """How many of the shared tokens fill blocks."""
        return self.shared - self.shared % BLOCK_TOKENS


@dataclass(slots=True)
class Listener:
    """Hears a conversation, and keeps what was asked."""

    tokens_of: Callable[[str], Sequence[int]]
    kind_of: Callable[[str], str]
    turn: int = 0
    asked: list[Asked] = field(default_factory=list[Asked])
    called: list[str] = field(default_factory=list[str])
    _prompt: str = ""

    def see(self, event: Event) -> None:
        """Takes an event of a run; an agent asks one thing after another."""
        match event:
            case PromptSent(prompt=prompt):
                self._prompt = prompt
            case ModelAsked(status="done", prompt_tokens=counted, reused_tokens=reused):
                tokens = self.tokens_of(self._prompt)
                assert len(tokens) == counted, f"{len(tokens)} tokens here, {counted} in the model"
                shared = max((_num_shared(one.tokens, tokens) for one in self.asked), default=0)
                self.asked.append(Asked(self.turn, self.kind_of(self._prompt), tokens, shared, reused))
            case ToolCalled(tool=tool):
                self.called.append(tool)
            case _:
                pass


def _num_shared(one: Sequence[int], other: Sequence[int]) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def kinds(script: Script) -> Callable[[str], str]:
    """What tells of a prompt what it asks for."""
    openings = {"choose": script.choosing, "fill": script.filling, "further": script.outputs}
    first = {kind: text.partition("{")[0] for kind, text in openings.items()}
    return lambda prompt: next((kind for kind, text in first.items() if text in prompt), "answer")


def tokenizer(checkpoint: Path) -> Callable[[str], Sequence[int]]:
    """The tokenizer in a checkpoint's only GGUF file."""
    (weights,) = checkpoint.glob("*.gguf")
    loader: Any = AutoTokenizer  # without types
    read = loader.from_pretrained(checkpoint, gguf_file=weights.name)

    def tokens_of(text: str) -> Sequence[int]:
        tokens: list[int] = read.encode(text, add_special_tokens=False)
        return tokens

    return tokens_of


async def talk(profile: str) -> Listener:
    """The whole conversation, nothing kept from before and no model warm."""
    project = Project(None, profile=profile)
    entry = project.catalogue.agents["assistant"]
    name = project.profile.models[entry.spec.model].checkpoint
    assert name is not None, "the models of these profiles are checkpoints"
    listener = Listener(tokenizer(project.checkpoints.directory(name)), kinds(Script.parse(entry.prompt)))
    conversation = Conversation(project.graph("chat"), Admission(project.store))
    try:
        for listener.turn, (attached, request) in enumerate(TURNS, 1):
            if attached is not None:
                conversation.attach(str(attached))
            listener.called.clear()
            result = await conversation.turn(request, RunOptions(on_event=listener.see))
            print(f"{listener.turn:>2} {request}  [{', '.join(listener.called)}]  {result['answer']}", flush=True)
    finally:
        await project.worker_host.stop()
        await project.close()
    return listener


def shares(asked: Sequence[Asked]) -> dict[str, float]:
    """Of all tokens of some prompts, which part was shared, which in whole blocks, and which the model says it had."""
    total = sum(len(one.tokens) for one in asked)
    return {
        "shared": sum(one.shared for one in asked) / total,
        "in_blocks": sum(one.in_blocks for one in asked) / total,
        "reused": sum(one.reused_tokens for one in asked) / total,
    }


def table(asked: Sequence[Asked]) -> Iterator[tuple[str, dict[str, float]]]:
    """Shares by what was asked for, and of all."""
    for kind in ("choose", "fill", "answer", "further", "all"):
        those = [one for one in asked if kind in ("all", one.kind)]
        if those:
            tokens = sum(len(one.tokens) for one in those)
            yield kind, {"asks": len(those), "tokens": tokens, **shares(those)}


def main(profile: str) -> None:
    checkpoints = home_folder() / "checkpoints"
    with tempfile.TemporaryDirectory() as home:
        os.environ["SENSORIUM_HOME"] = home
        (Path(home) / "checkpoints").symlink_to(checkpoints)
        asked = [one for one in asyncio.run(talk(profile)).asked if one.turn > 1]
    rows = dict(table(asked))
    print(f"{'':<8}{'asks':>6}{'tokens':>8}{'shared':>8}{'blocks':>8}{'reused':>8}")
    for kind, row in rows.items():
        told = "".join(f"{row[share]:>8.1%}" for share in ("shared", "in_blocks", "reused"))
        print(f"{kind:<8}{row['asks']:>6}{row['tokens']:>8}{told}")
    figures = [
        Figure("share of prompt tokens that an earlier prompt begins with too", rows["all"]["shared"], LIMIT, False),
        Figure("the same in whole blocks of 16 tokens", rows["all"]["in_blocks"], LIMIT, False),
    ]
    each = [(one.turn, one.kind, len(one.tokens), one.shared, one.reused_tokens) for one in asked]
    report(f"prefix-{profile}", figures, by_kind=rows, asks=each)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="small")
    main(parser.parse_args().profile)
