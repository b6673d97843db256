"""Which library reads a checkpoint: its files decide."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from safetensors import safe_open

from .segmenter import Segmenter

__all__ = ["open_segmenter"]

LITE = "image_encoder.patch_embed.seq.0.c.weight"
"""A tensor that LiteMedSAM alone has."""
ORIGINAL = "image_encoder.patch_embed.proj.weight"
"""A tensor that an original SAM has."""


def open_segmenter(checkpoint: Path, device: str) -> Segmenter:
    """The SAM in a checkpoint's directory.

    With `config.json` it is a Hugging Face SAM. Else the tensors of `model.safetensors` tell LiteMedSAM from an
    original SAM. LiteMedSAM runs by transformers where that is installed, else by segment-anything; an original SAM by
    segment-anything.

    Raises:
        FileNotFoundError: The directory holds no `model.safetensors`.
        ValueError: The tensors are of no SAM that is known here.
        ImportError: The library is not installed; the message says which environment has it.
    """
    # Each library is installed in one of two environments, so only the one that the checkpoint wants is imported.
    if (checkpoint / "config.json").is_file():
        from .hugging_face import open_hugging_face

        return open_hugging_face(checkpoint, device)
    weights = checkpoint / "model.safetensors"
    names = _tensor_names(weights)
    if LITE in names and find_spec("transformers"):
        from .lite_medsam import open_lite_medsam

        return open_lite_medsam(weights, device)
    if LITE not in names and ORIGINAL not in names:
        raise ValueError(f"{weights} holds neither LiteMedSAM ({LITE}) nor an original SAM ({ORIGINAL})")
    _want_segment_anything(weights)
    from .original_sam import open_original_sam

    return open_original_sam(weights, device, lite=LITE in names)


def _tensor_names(weights: Path) -> set[str]:
    if not weights.is_file():
        raise FileNotFoundError(
            f"{weights.parent} holds no model.safetensors; a checkpoint published as a pickle wants "
            "`convert: pickle-to-safetensors` in its manifest"
        )
    with safe_open(weights, framework="np") as opened:
        return set(opened.keys())


def _want_segment_anything(weights: Path) -> None:
    if not find_spec("segment_anything"):
        raise ImportError(
            f"{weights} is an original SAM, which segment-anything reads; in the profile, give the tool the "
            "environment that has it: `tools: {segment: {environment: requirements-segment-anything.txt}}`"
        )
