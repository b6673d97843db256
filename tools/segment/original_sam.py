"""SAMs of the original layout, by segment-anything. Its environment is `requirements-segment-anything.txt`."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from . import without_torchvision_ops  # noqa: F401  must come before segment_anything, which imports torchvision
from .frame import lite_pixels, sam_pixels
from .network import BoxSegmenter, Proposal, SamSegmenter
from .tiny_vit import CHANNELS, GRID, SIDE, TinyViT

# isort: split
from segment_anything import sam_model_registry
from segment_anything.modeling import MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

__all__ = ["SegmentAnythingSam", "open_original_sam"]

VARIANTS = {768: "vit_b", 1024: "vit_l", 1280: "vit_h"}
"""Name of the published SAM for the width of its image encoder."""


class SegmentAnythingSam:
    """A `Sam` as a network."""

    def __init__(self, sam: Sam, device: str) -> None:
        self.device = torch.device(device)
        self._sam = sam.eval().to(self.device)
        prompt = sam.prompt_encoder
        self.embedding_shape = (1, int(prompt.embed_dim), *(int(side) for side in prompt.image_embedding_size))

    def encode(self, pixels: Tensor) -> Tensor:
        return self._sam.image_encoder(pixels)

    def decode_boxes(self, embedding: Tensor, boxes: Tensor) -> Proposal:
        sparse, dense = self._sam.prompt_encoder(points=None, boxes=boxes, masks=None)
        return self._answer(embedding, sparse, dense, several=False)

    def decode_points(self, embedding: Tensor, points: Tensor) -> Proposal:
        labels = torch.ones(len(points), 1, dtype=torch.int, device=self.device)  # 1: on the thing, not beside it
        sparse, dense = self._sam.prompt_encoder(points=(points[:, None], labels), boxes=None, masks=None)
        return self._answer(embedding, sparse, dense, several=True)

    def _answer(self, embedding: Tensor, sparse: Tensor, dense: Tensor, *, several: bool) -> Proposal:
        logits, scores = self._sam.mask_decoder(
            image_embeddings=embedding,
            image_pe=self._sam.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=several,
        )
        return Proposal(logits, scores)


def open_original_sam(weights: Path, device: str, *, lite: bool) -> SamSegmenter:
    """A SAM from `model.safetensors` with the names of the published pickle.

    Args:
        weights: The file.
        device: Where the network lives.
        lite: Whether it is LiteMedSAM, a TinyViT with SAM's decoder, which takes boxes alone.
    """
    tensors = load_file(weights)
    if lite:
        sam = _lite_sam()
        sam.load_state_dict(tensors, strict=True)
        return BoxSegmenter(SegmentAnythingSam(sam, device), SIDE, lite_pixels)
    sam = sam_model_registry[_variant(tensors, weights)]()
    sam.load_state_dict(tensors, strict=True)
    return SamSegmenter(SegmentAnythingSam(sam, device), int(sam.image_encoder.img_size), sam_pixels)


def _variant(tensors: dict[str, Tensor], weights: Path) -> str:
    width = tensors["image_encoder.patch_embed.proj.weight"].shape[0]
    if width not in VARIANTS:
        raise ValueError(f"{weights}: an image encoder of width {width}; the published ones have {sorted(VARIANTS)}")
    return VARIANTS[width]


def _lite_sam() -> Sam:
    return Sam(
        TinyViT(),
        PromptEncoder(
            embed_dim=CHANNELS, image_embedding_size=(GRID, GRID), input_image_size=(SIDE, SIDE), mask_in_chans=16
        ),
        MaskDecoder(
            transformer_dim=CHANNELS,
            transformer=TwoWayTransformer(depth=2, embedding_dim=CHANNELS, mlp_dim=2048, num_heads=8),
        ),
    )
