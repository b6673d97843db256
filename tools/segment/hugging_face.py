"""SAMs of the Hugging Face layout, by transformers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import SamImageProcessorPil, SamModel, SamProcessor

from sensorium.worker import Refused

from .frame import Frame
from .network import Proposal, SamSegmenter

__all__ = ["TransformersSam", "open_hugging_face"]


class TransformersSam:
    """A `SamModel` as a network."""

    def __init__(self, model: SamModel, device: str) -> None:
        self.device = torch.device(device)
        self._model = model.eval().to(self.device)
        prompt = model.config.prompt_encoder_config
        grid = int(prompt.image_embedding_size)
        self.embedding_shape = (1, int(prompt.hidden_size), grid, grid)

    def encode(self, pixels: Tensor) -> Tensor:
        return self._model.get_image_embeddings(pixels)

    def decode_boxes(self, embedding: Tensor, boxes: Tensor) -> Proposal:
        return self._answer(embedding, input_boxes=boxes[None], multimask_output=False)

    def decode_points(self, embedding: Tensor, points: Tensor) -> Proposal:
        return self._answer(embedding, input_points=points[None, :, None], multimask_output=True)

    def _answer(self, embedding: Tensor, **prompts: Tensor | bool) -> Proposal:
        answer = self._model(image_embeddings=embedding, **prompts)
        return Proposal(answer.pred_masks[0], answer.iou_scores[0])


def open_hugging_face(checkpoint: Path, device: str) -> SamSegmenter:
    """The SAM in a directory of `config.json` and `model.safetensors`.

    Raises:
        ValueError: `config.json` is of another kind of model.
    """
    kind = json.loads((checkpoint / "config.json").read_text("utf-8")).get("model_type")
    if kind != "sam":
        raise ValueError(f"{checkpoint / 'config.json'} has model_type {kind!r}; segment reads 'sam'")
    model = SamModel.from_pretrained(checkpoint, local_files_only=True, use_safetensors=True)
    processor = _processor(checkpoint, int(model.config.vision_config.image_size))

    def pixels(picture: NDArray[np.uint8], frame: Frame) -> Tensor:
        if int(min(frame.size) * frame.side / max(frame.size) + 0.5) < 1:
            raise Refused(
                f"the picture, {frame.size.width} x {frame.size.height} pixels, is too thin for this checkpoint: "
                f"scaled to {frame.side} pixels, nothing of its short side is left"
            )
        return processor(images=picture, return_tensors="pt")["pixel_values"]

    return SamSegmenter(TransformersSam(model, device), int(processor.target_size), pixels)


def _processor(checkpoint: Path, side: int) -> SamProcessor:
    """The checkpoint's processor; where it brings none, SAM's usual one for pictures of its side."""
    if any((checkpoint / name).is_file() for name in ("preprocessor_config.json", "processor_config.json")):
        return SamProcessor.from_pretrained(checkpoint, local_files_only=True)
    return SamProcessor(SamImageProcessorPil(size={"longest_edge": side}, pad_size={"height": side, "width": side}))
