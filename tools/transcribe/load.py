"""Which library reads a checkpoint: its files decide."""

from __future__ import annotations

from pathlib import Path

from .faster import FasterWhisper
from .recogniser import Recogniser

__all__ = ["open_recogniser"]


def open_recogniser(checkpoint: Path, device: str) -> Recogniser:
    """Whisper from a directory that holds either `model.bin` (CTranslate2) or one `NAME.pt` (openai-whisper).

    Raises:
        FileNotFoundError: the directory holds neither.
    """
    if (checkpoint / "model.bin").is_file():
        return FasterWhisper(checkpoint, device)
    pickled = sorted(checkpoint.glob("*.pt"))
    if len(pickled) != 1:
        raise FileNotFoundError(f"{checkpoint} holds neither model.bin (CTranslate2) nor one NAME.pt (openai-whisper)")
    # openai-whisper is installed only in the environment made for it, so only a checkpoint of its own asks for it.
    from .openai_whisper import OpenaiWhisper

    return OpenaiWhisper(pickled[0], device)
