"""A frozen language model that is asked about something said, in whatever way it was handed over.

What was said takes the place of one word of the prompt: as text, as rows that a bridge made, or as nothing.
"""

# pyright: basic

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from ears_sentences import KINDS, WORD
from torch import Tensor
from torch.nn import functional
from transformers import DynamicCache

__all__ = [
    "ASK_IN_TEST",
    "ASK_IN_TRAINING",
    "QUESTIONS_IN_TRAINING",
    "Ask",
    "Reader",
    "kinds_of",
    "question_of",
    "transcript_of",
]

ASK_IN_TRAINING = (
    ("Listen:", "\nRepeat what you heard."),
    ("I just heard this:", "\nWrite it down word for word."),
    ("Speech:", "\nWhat does the speaker say?"),
    ("Here is a message.", "\nGive me the exact words."),
)
ASK_IN_TEST = ("A recording says:", "\nWhat was said? Answer with the words of the recording.")
QUESTION_IN_TEST = ("A recording says:", "\nWhich {kind} does the recording name?", 'The {kind} is "')
QUESTIONS_IN_TRAINING = (
    ("Listen:", "\nWhat {kind} do you hear about?", "The {kind} is"),
    ("Speech:", "\nName the {kind} that the speaker mentions.", "The {kind} is"),
)


@dataclass(frozen=True, slots=True)
class Ask:
    """A prompt with a place for what was said, and the answer to it."""

    before: str
    after: str
    """With the beginning of the answer, where one is given."""
    answer: str


def kinds_of(text: str) -> list[str]:
    """The kinds of which exactly one word stands in a sentence."""
    words = WORD.findall(text)
    return [kind for kind, names in KINDS.items() if sum(word in names.split() for word in words) == 1]


def question_of(text: str, kind: str, prompt: tuple[str, str, str] = QUESTION_IN_TEST) -> Ask:
    """A question about the one word of a kind in a sentence."""
    before, after, begin = prompt
    answer = next(word for word in WORD.findall(text) if word in KINDS[kind].split())
    return Ask(before, _turn(after.format(kind=kind)) + begin.format(kind=kind), f" {answer}")


def transcript_of(text: str, prompt: tuple[str, str] = ASK_IN_TEST) -> Ask:
    """The wish to hear the sentence again."""
    return Ask(prompt[0], _turn(prompt[1]), text)


def _turn(text: str) -> str:
    return f"{text}<|im_end|>\n<|im_start|>assistant\n"


class Reader:
    """The model, with the part of every prompt that is always the same already read."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.table: Tensor = model.get_input_embeddings().weight
        chat = tokenizer.apply_chat_template([{"role": "user", "content": "*"}], tokenize=False)
        with torch.no_grad():
            self._read = self.model(self._ids(chat[: chat.index("*")])[None], use_cache=True).past_key_values

    def _ids(self, text: str) -> Tensor:
        return torch.tensor(self.tokenizer.encode(text, add_special_tokens=False), dtype=torch.long)

    def embedded(self, text: str) -> Tensor:
        """The input embeddings of a text, [tokens, width]."""
        return self.table[self._ids(text)]

    def logits(self, asks: list[Ask], said: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
        """For each ask with what was said, [rows, width]: logits for the answer's tokens, and those tokens."""
        answers = [self._ids(ask.answer) for ask in asks]
        before = [self.embedded(ask.before) for ask in asks]
        after = [self.embedded(ask.after) for ask in asks]
        whole = [
            torch.cat([*parts, self.table[answer[:-1]]])
            for *parts, answer in zip(before, said, after, answers, strict=True)
        ]
        inputs = torch.nn.utils.rnn.pad_sequence(whole, batch_first=True)
        cache = DynamicCache()
        for number, layer in enumerate(self._read.layers):
            cache.update(*(held.expand(len(asks), -1, -1, -1) for held in (layer.keys, layer.values)), number)
        hidden = self.model.model(inputs_embeds=inputs, past_key_values=cache, use_cache=True).last_hidden_state
        told: list[tuple[Tensor, Tensor]] = []
        for number, (row, answer) in enumerate(zip(whole, answers, strict=True)):
            last = hidden[number, len(row) - len(answer) : len(row)]
            told.append((self.model.lm_head(last), answer))
        return told

    def losses(self, asks: list[Ask], said: list[Tensor]) -> Tensor:
        """Mean negative log-likelihood of each answer's tokens, in nats, [asks]."""
        told = self.logits(asks, said)
        return torch.stack([functional.cross_entropy(logits.float(), answer) for logits, answer in told])

    def choose(self, ask: Ask, kind: str, said: Tensor) -> str:
        """The word of a kind that the model finds likeliest to begin its answer."""
        words = KINDS[kind].split()
        first = torch.stack([self._ids(f" {word}")[0] for word in words])
        logits = self.logits([ask], [said])[0][0][0]
        return words[int(logits[first].argmax())]
