"""Fonts that have the letters of a label."""

from __future__ import annotations

from functools import cache

from PIL import ImageFont

__all__ = ["Font", "font_for"]

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

INSTALLED = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "NotoSansCJK-Regular.ttc",
    "wqy-zenhei.ttc",
    "wqy-microhei.ttc",
    "DroidSansFallbackFull.ttf",
    "Arial Unicode.ttf",
    "PingFang.ttc",
)
"""Tried in order, for labels that Pillow's own font, which has the letters of English, can't write."""
NO_LETTER = "\uffff"
"""A character that no font has: it looks as every missing letter does."""


def font_for(text: str, size: int) -> Font | None:
    """A font of that size in pixels that has every letter of the text; None where none is installed."""
    for name in (None, *INSTALLED):
        font = _opened(name, size)
        if font is not None and all(_can_write(font, letter) for letter in set(text) if not letter.isspace()):
            return font
    return None


@cache
def _opened(name: str | None, size: int) -> Font | None:
    if name is None:
        return ImageFont.load_default(size)
    try:
        return ImageFont.truetype(name, size)
    except OSError:
        return None


def _can_write(font: Font, letter: str) -> bool:
    drawn, missing = font.getmask(letter), font.getmask(NO_LETTER)
    return drawn.size != missing.size or bytes(drawn) != bytes(missing)
