"""Names with what there is to say of them below, whole words on each line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

__all__ = ["print_block", "print_pieces"]

_INDENT = 2


def print_block(console: Console, name: str, about: str) -> None:
    """Prints a name as it is, to be copied, and below it a text, each line as wide as the terminal lets it be."""
    console.print(Text(name, style="cyan"), soft_wrap=True)
    for line in Text(about).wrap(console, console.width - _INDENT):
        line.rstrip()
        _print_below(console, line.plain)


def print_pieces(console: Console, pieces: Sequence[str], *, indent: int = _INDENT, style: str = "") -> None:
    """Prints pieces with commas between, below a name; no piece is broken."""
    for line in _flowed(pieces, console.width - indent):
        _print_below(console, line, indent=indent, style=style)


def _print_below(console: Console, line: str, *, indent: int = _INDENT, style: str = "") -> None:
    console.print(Text(" " * indent + line, style=style), soft_wrap=True)


def _flowed(pieces: Sequence[str], room: int) -> Iterator[str]:
    line = ""
    for index, piece in enumerate(pieces):
        piece = piece if index == len(pieces) - 1 else f"{piece},"
        if line and cell_len(f"{line} {piece}") > room:
            yield line
            line = piece
        else:
            line = f"{line} {piece}" if line else piece
    if line:
        yield line
