"""Rough and fine masks of the same things to the better of each two."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorium.worker import Failed, Refused

AT_LEAST = 0.65
"""Agreement from which the fine mask is kept, as intersection over union; the README says what was measured."""


class ChooseMask:
    """Trusts a fine mask only as far as it agrees with the rough one."""

    def setup(self, checkpoints: dict[str, str], device: str) -> None:
        """Needs no weights."""

    def run(self, batch: list[dict[str, Any]]) -> Iterator[Failed | list[dict[str, Any] | None]]:
        results: list[dict[str, Any] | None] = []
        for index, call in enumerate(batch):
            try:
                results.append(choose(call["rough"], call.get("fine"), call.get("at_least")))
            except Refused as refusal:
                yield Failed(index, refusal.why, refusal.kind)
                results.append(None)
        yield results

    def close(self) -> None:
        """Holds nothing."""


def choose(rough: NDArray[np.bool_], fine: NDArray[np.bool_] | None, at_least: float | None) -> dict[str, Any]:
    """One mask for each pair, where it comes from, and how well the two agree.

    Raises:
        Refused: The masks are not of the same things, or the limit is no share.
    """
    limit = AT_LEAST if at_least is None else at_least
    if not 0 <= limit <= 1:
        raise Refused(
            f"at_least is {limit:g}; it is a share from 0 (always the fine mask) to 1 (only if both are equal)"
        )
    if fine is None:
        return {"masks": rough, "source": ["find"] * len(rough), "ious": [None] * len(rough)}
    if rough.shape != fine.shape:
        raise Refused(
            f"rough holds {_told(rough)} and fine {_told(fine)}; "
            "choose-mask takes one rough and one fine mask of each thing, all of the picture's size"
        )
    ious = [agreement(*pair) for pair in zip(rough, fine, strict=True)]
    keeps_fine = np.array([iou >= limit for iou in ious], bool)
    masks = np.where(keeps_fine[:, None, None], fine, rough)
    source = ["segment" if keeps else "find" for keeps in keeps_fine]
    return {"masks": masks, "source": source, "ious": [round(iou, 4) for iou in ious]}


def agreement(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Intersection over union; 1 where both are empty."""
    union = int((one | other).sum())
    return int((one & other).sum()) / union if union else 1.0


def _told(masks: NDArray[np.bool_]) -> str:
    count, height, width = masks.shape
    return f"{count} {'mask' if count == 1 else 'masks'} of {width}×{height} pixels"
