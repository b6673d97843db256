"""The frame in which tensors cross from one process to another: sealed by whoever made them, checked before any use.

    8 bytes   magic and version
    8 bytes   length of the head          lengths are unsigned, little-endian
    8 bytes   length of the body
    head      JSON: what the tensors are (`FrameHead`), then name, type and shape of each
    zeros     so that the body begins at a multiple of 64
    32 bytes  tag of all before it
    body      the tensors: little-endian, dense, in C order; zeros behind each up to a multiple of 64
    32 bytes  tag of all before it

A tag is BLAKE3 keyed with 32 bytes that both ends have (https://github.com/BLAKE3-team/BLAKE3-specs, section 2.1). No
offsets are told: they follow from the shapes, so nothing can overlap, and one content has one spelling. A receiver goes
by the lengths first, then the head's tag, then the head; then it takes memory, hashes and checks the body in one pass,
and hands out arrays once the last tag was right.
"""

from sensorium.latent.frame_body import DTYPES
from sensorium.latent.frame_head import FrameBroken, FrameHead, FrameLimits, FrameRefused
from sensorium.latent.frame_key import frame_key
from sensorium.latent.frame_lead import KEY_BYTES
from sensorium.latent.frame_opening import Frame, open_frame, open_head, read_frame
from sensorium.latent.frame_sealing import Tensor, seal, seal_to

__all__ = [
    "DTYPES",
    "KEY_BYTES",
    "Frame",
    "FrameBroken",
    "FrameHead",
    "FrameLimits",
    "FrameRefused",
    "Tensor",
    "frame_key",
    "open_frame",
    "open_head",
    "read_frame",
    "seal",
    "seal_to",
]
