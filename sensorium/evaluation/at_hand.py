"""What comes with a request, by the files and addresses that it names: as if they had been attached."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["named_types"]

_NAMED = {
    "image": r"\.(jpe?g|png|gif|bmp|tiff?|webp|svg)\b",
    "audio": r"\.(mp3|wav|flac|ogg|aac|m4a|wma|aiff?)\b",
    "video": r"\.(mp4|avi|mov|mkv|webm|flv|wmv|m4v|mpe?g)\b",
    "url": r"https?://|\bwww\.|\burls?\b",
}


def named_types(request: str, types: Iterable[str]) -> tuple[str, ...]:
    """Those of the types that a request names a file or an address of, in their order.

    A type that files cannot be told by is always among them, text too: the request is one.
    """
    return tuple(
        kind for kind in types if kind not in _NAMED or re.search(_NAMED[kind], request, re.IGNORECASE) is not None
    )
