"""What a bridge learns from: states of the sender on texts, and the rows of the receiver that say the same.

A third of the sequences have half of their tokens replaced by others at random, so that tokens which the texts
seldom or never hold are met too.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (torch and its like leave arguments untyped)

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from sensorium.errors import CallerError
from sensorium.latent.bridge_job import TrainingJob, text_files, write_whole
from sensorium.latent.training.models import Receiving, Sending

__all__ = ["LEAST_TEXTS", "LENGTH", "States", "combined", "token_rows"]

LENGTH = 64
"""Tokens of the sender in a sequence."""
LEAST_TEXTS = 8
"""Sequences that go on, of which a step with the receiver in the loop takes up to so many."""
_BATCH = 16


class States:
    """The sender's states on sequences of tokens, computed once and kept on the disk as float16.

    Args:
        job: The training.
    """

    def __init__(self, job: TrainingJob) -> None:
        self._job = job
        self._folder = Path(job.state)
        self._states_path = self._folder / "states.npy"
        self.ids: npt.NDArray[np.int32] = np.zeros((0, LENGTH), np.int32)
        """Tokens, [sequences, LENGTH]."""
        self.next_ids: npt.NDArray[np.int32] = np.zeros((0, LENGTH), np.int32)
        """Tokens that follow them in their texts, [sequences, LENGTH]; -1 where there are none."""
        self.is_spliced: npt.NDArray[np.bool_] = np.zeros(0, np.bool_)
        """Which sequences have replaced tokens."""
        self.states: npt.NDArray[np.float16] = np.zeros((0, LENGTH, 0), np.float16)

    def prepare(self, sending: Callable[[], Sending], on_share: Callable[[float], None]) -> None:
        """Computes what is not on the disk yet."""
        self._prepare_ids(sending)
        done_path = self._folder / "states-done.txt"
        done = int(done_path.read_text()) if done_path.is_file() else 0
        if done < len(self.ids):
            sender = sending()
            shape = (len(self.ids), LENGTH, sender.width)
            mode: Any = "r+" if done else "w+"
            kept = np.lib.format.open_memmap(self._states_path, mode=mode, dtype=np.float16, shape=shape)
            for start in range(done, len(self.ids), _BATCH):
                ids = torch.from_numpy(self.ids[start : start + _BATCH].astype(np.int64))
                kept[start : start + _BATCH] = sender.states(ids).clamp(-65_000, 65_000).half().numpy()
                kept.flush()
                write_whole(done_path, str(min(start + _BATCH, len(self.ids))))
                on_share(start / len(self.ids))
        self.states = np.load(self._states_path, mmap_mode="r")

    def _prepare_ids(self, sending: Callable[[], Sending]) -> None:
        path = self._folder / "sequences.npz"
        if not path.is_file():
            self._write_ids(path, sending().tokenizer)
        with np.load(path) as kept:
            self.ids, self.next_ids, self.is_spliced = kept["ids"], kept["next_ids"], kept["is_spliced"]

    def _write_ids(self, path: Path, tokenizer: Any) -> None:
        chance = np.random.default_rng(self._job.seed)
        chunks: list[npt.NDArray[np.int32]] = []
        following: list[npt.NDArray[np.int32]] = []
        for file in text_files(self._job.texts):
            text = file.read_text(encoding="utf-8", errors="replace")
            whole = np.array(tokenizer(text, add_special_tokens=False, verbose=False).input_ids, np.int32)
            rows = whole[: len(whole) // LENGTH * LENGTH].reshape(-1, LENGTH)
            if len(rows):
                chunks.append(rows)
                following.append(np.concatenate([rows[1:], np.full((1, LENGTH), -1, np.int32)]))
        if not chunks:
            raise CallerError(
                f"no text in {self._job.texts} has {LENGTH} tokens of {self._job.sender}; give longer ones"
            )
        order = chance.permutation(sum(map(len, chunks)))[: self._job.positions // LENGTH]
        ids, next_ids = np.concatenate(chunks)[order], np.concatenate(following)[order]
        is_spliced = np.arange(len(ids)) % 3 == 2
        going_on = int((~is_spliced & (next_ids[:, 0] >= 0)).sum())
        if self._job.end_to_end and going_on < LEAST_TEXTS:
            raise CallerError(
                f"{going_on} stretches of {LENGTH} tokens that go on were drawn from {self._job.texts}, and "
                f"training with the receiver in the loop wants "
                f"{LEAST_TEXTS}; give more text, more --positions, or --end-to-end 0"
            )
        other = chance.integers(0, tokenizer.vocab_size, ids.shape, np.int32)
        replaced = is_spliced[:, None] & (chance.random(ids.shape) < 0.5)
        waiting = path.with_name(f".{path.name}")
        np.savez(waiting, ids=np.where(replaced, other, ids), next_ids=next_ids, is_spliced=is_spliced)
        waiting.replace(path)

    def laid(self, sequences: npt.NDArray[np.intp], stride: int) -> torch.Tensor:
        """States of some sequences, float32 [sequences, LENGTH / stride, stride, width]."""
        picked = np.asarray(self.states[np.sort(sequences)], np.float32)
        return torch.from_numpy(picked.reshape(len(picked), LENGTH // stride, stride, -1))

    def batches(self, size: int, chance: np.random.Generator) -> Iterator[npt.NDArray[np.intp]]:
        """Sequences in random order, without end."""
        while True:
            order = chance.permutation(len(self.ids))
            for start in range(0, len(order) - size + 1, size):
                yield np.sort(order[start : start + size])


def token_rows(sender: Any, receiving: Receiving) -> tuple[torch.Tensor, torch.Tensor]:
    """For each token of the sender's tokenizer the rows by which the receiver reads the same characters.

    Returns:
        Rows, [vocabulary, receiver's width], the mean where there are several; and how many there are, [vocabulary]:
        0 where the token is no whole text.
    """
    size = len(sender)
    texts = sender.batch_decode([[token] for token in range(size)], clean_up_tokenization_spaces=False)
    is_whole = ["�" not in text and text != "" for text in texts]
    special = set(sender.all_special_ids)
    listed = receiving.tokenizer(texts, add_special_tokens=False).input_ids
    rows = torch.zeros(size, receiving.width)
    counts = torch.zeros(size, dtype=torch.long)
    for token, ids in enumerate(listed):
        if is_whole[token] and token not in special and ids:
            rows[token] = receiving.embeddings[ids].mean(0)
            counts[token] = len(ids)
    return rows, counts


def combined(rows: torch.Tensor, stride: int) -> torch.Tensor:
    """The target for groups of tokens, [..., groups, width], of their rows [..., groups * stride, width].

    Each counts half of the one before it: of the sums that were tried, a frozen receiver reads this one best.
    """
    weights = 0.5 ** torch.arange(stride, dtype=rows.dtype)
    return (rows.reshape(*rows.shape[:-2], -1, stride, rows.shape[-1]) * weights[:, None]).sum(-2)
