"""LiteMedSAM by transformers: SAM's decoder as it stands, TinyViT in the place of its image encoder."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import SamConfig, SamMaskDecoderConfig, SamModel, SamPromptEncoderConfig, SamVisionConfig
from transformers.models.sam.modeling_sam import SamVisionEncoderOutput

from .frame import lite_pixels
from .hugging_face import TransformersSam
from .network import BoxSegmenter
from .tiny_vit import GRID, SIDE, TinyViT

__all__ = ["open_lite_medsam"]

RENAMED = (
    (r"^image_encoder\.", "vision_encoder.tiny_vit."),
    (r"^prompt_encoder\.pe_layer\.positional_encoding_gaussian_matrix$", "shared_image_embedding.positional_embedding"),
    (r"^prompt_encoder\.point_embeddings\.", "prompt_encoder.point_embed."),
    (r"\.mask_downscaling\.0\.", ".mask_embed.conv1."),
    (r"\.mask_downscaling\.1\.", ".mask_embed.layer_norm1."),
    (r"\.mask_downscaling\.3\.", ".mask_embed.conv2."),
    (r"\.mask_downscaling\.4\.", ".mask_embed.layer_norm2."),
    (r"\.mask_downscaling\.6\.", ".mask_embed.conv3."),
    (r"(\.transformer\.layers\.\d+)\.norm(\d)\.", r"\1.layer_norm\2."),
    (r"\.norm_final_attn\.", ".layer_norm_final_attn."),
    (r"\.output_upscaling\.0\.", ".upscale_conv1."),
    (r"\.output_upscaling\.1\.", ".upscale_layer_norm."),
    (r"\.output_upscaling\.3\.", ".upscale_conv2."),
    (r"(mlps\.\d|iou_prediction_head)\.layers\.0\.", r"\1.proj_in."),
    (r"(mlps\.\d|iou_prediction_head)\.layers\.1\.", r"\1.layers.0."),
    (r"(mlps\.\d|iou_prediction_head)\.layers\.2\.", r"\1.proj_out."),
)
"""What Segment Anything calls a tensor, and what transformers calls it; of each name, the first that matches."""


class TinyVisionEncoder(nn.Module):
    """TinyViT with the outputs that `SamModel` expects of its image encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.tiny_vit = TinyViT()

    def forward(self, pixel_values: Tensor, **_: object) -> SamVisionEncoderOutput:
        channels_last = pixel_values.contiguous(memory_format=torch.channels_last)  # a tenth faster on a CPU
        return SamVisionEncoderOutput(last_hidden_state=self.tiny_vit(channels_last).contiguous())


def open_lite_medsam(weights: Path, device: str) -> BoxSegmenter:
    """LiteMedSAM from `model.safetensors` with the names of the published checkpoint."""
    model = SamModel(_config())
    model.vision_encoder = TinyVisionEncoder().to(memory_format=torch.channels_last)
    tensors = {_renamed(name): tensor for name, tensor in load_file(weights).items()}
    shared = "positional_embedding"
    tensors[f"prompt_encoder.shared_embedding.{shared}"] = tensors[f"shared_image_embedding.{shared}"]
    model.load_state_dict(tensors, strict=True)
    return BoxSegmenter(TransformersSam(model, device), SIDE, lite_pixels)


def _config() -> SamConfig:
    """SAM's decoder for a square of 256 pixels; its own image encoder is as small as can be, for it is replaced."""
    patch = SIDE // GRID
    vision = SamVisionConfig(
        hidden_size=8, num_hidden_layers=0, num_attention_heads=1, image_size=SIDE, patch_size=patch, mlp_dim=8
    )
    prompt = SamPromptEncoderConfig(image_size=SIDE, patch_size=patch)
    # The norms of the published decoder have torch's default epsilon; with that of transformers the masks differ.
    return SamConfig(
        vision_config=vision,
        prompt_encoder_config=prompt,
        mask_decoder_config=SamMaskDecoderConfig(layer_norm_eps=1e-5),
    )


def _renamed(name: str) -> str:
    for pattern, replacement in RENAMED:
        new, num_replaced = re.subn(pattern, replacement, name)
        if num_replaced:
            return new
    return name
