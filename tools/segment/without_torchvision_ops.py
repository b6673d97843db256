"""Lets torchvision be imported where its compiled operators cannot be loaded; importing this module does it.

segment-anything imports torchvision for resizing and for non-maximum suppression, and this tool uses neither. The
wheel's operators are built against CUDA, so beside a torch for the CPU they don't load, and torchvision then fails as
it describes `nms` and `qnms`, which nobody declared. Here they are declared, without an implementation. Where the
operators do load, nothing is done.
"""

from __future__ import annotations

import importlib.machinery
from importlib.util import find_spec
from pathlib import Path

import torch

__all__ = ["can_load_operators"]

SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def can_load_operators() -> bool:
    """Whether torchvision's compiled operators fit the torch that is installed; loads them if so."""
    spec = find_spec("torchvision")
    if spec is None or spec.origin is None:
        return False
    suffixes = tuple(importlib.machinery.EXTENSION_SUFFIXES)
    compiled = [path for path in Path(spec.origin).parent.glob("_C*") if path.name.endswith(suffixes)]
    try:
        for library in compiled:
            torch.ops.load_library(library)
    except OSError:
        return False
    return bool(compiled)


if not can_load_operators():
    declared = torch.library.Library("torchvision", "FRAGMENT")  # named, since declarations end with this object
    for operator in ("nms", "qnms"):
        declared.define(operator + SCHEMA)
