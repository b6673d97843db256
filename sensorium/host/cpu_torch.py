"""Where PyTorch comes from for an environment that asks for its build for the CPU, such as `torch==2.13.0+cpu`."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from collections.abc import Iterable

__all__ = ["CPU_INDEX", "cpu_torch"]

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
_WANTED = re.compile(r"^torch==\S+\+cpu\b", re.MULTILINE)
_ASK_S = 5.0


def cpu_torch(texts: Iterable[str]) -> list[str]:
    """What to install from `CPU_INDEX` before all else: the general index has no such build.

    Nothing where the requirements ask for none, or where that index cannot be reached and pip's own has to have it.
    """
    wanted = [found[0] for text in texts for found in _WANTED.finditer(text)]
    return wanted if wanted and _answers() else []


def _answers() -> bool:
    request = urllib.request.Request(f"{CPU_INDEX}/torch/", method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=_ASK_S):
            return True
    except (urllib.error.URLError, OSError, ValueError):
        return False
