"""Pictures in the terminal, where it can show them: Kitty's graphics protocol and iTerm2's inline images.

Sources: the Kitty documentation, "Terminal graphics protocol"; the iTerm2 documentation, "Images".
"""

from __future__ import annotations

import base64
import io
import os
import sys
from collections.abc import Mapping

from PIL import Image as PillowImage

__all__ = ["can_show_pictures", "show_picture"]

_CHUNK = 4096
_MOST_PIXELS = (800, 480)


def can_show_pictures(environ: Mapping[str, str] | None = None) -> bool:
    """Whether standard output is a terminal that is known to show pictures."""
    return sys.stdout.isatty() and _protocol(os.environ if environ is None else environ) is not None


def show_picture(image: PillowImage.Image) -> None:
    """Writes the picture to the terminal, made smaller where it is larger than 800 x 480."""
    small = image.convert("RGB")
    small.thumbnail(_MOST_PIXELS)
    target = io.BytesIO()
    small.save(target, format="PNG")
    data = base64.b64encode(target.getvalue())
    sys.stdout.write(_kitty(data) if _protocol(os.environ) == "kitty" else _iterm(data, len(target.getvalue())))
    sys.stdout.write("\n")
    sys.stdout.flush()


def _protocol(environ: Mapping[str, str]) -> str | None:
    if environ.get("TMUX"):
        return None
    if "KITTY_WINDOW_ID" in environ or environ.get("TERM") in ("xterm-kitty", "xterm-ghostty"):
        return "kitty"
    return "iterm" if environ.get("TERM_PROGRAM") in ("iTerm.app", "WezTerm", "mintty") else None


def _kitty(data: bytes) -> str:
    pieces = [data[start : start + _CHUNK] for start in range(0, len(data), _CHUNK)]
    written: list[str] = []
    for index, piece in enumerate(pieces):
        more = int(index < len(pieces) - 1)
        control = f"a=T,f=100,m={more}" if index == 0 else f"m={more}"
        written.append(f"\x1b_G{control};{piece.decode()}\x1b\\")
    return "".join(written)


def _iterm(data: bytes, size_bytes: int) -> str:
    return f"\x1b]1337;File=inline=1;size={size_bytes}:{data.decode()}\x07"
