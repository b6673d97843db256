"""Text in pictures, by PP-OCRv6 small as rapidocr carries it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import rapidocr
from numpy.typing import NDArray
from PIL import Image
from rapidocr.utils.process_img import get_rotate_crop_image

from .lines import Line, in_rows
from .sheet import Pixels, Sheet

MODELS = Path(rapidocr.__file__).parent / "models"
FILES = {
    "Det.model_path": MODELS / "PP-OCRv6_det_small.onnx",
    "Cls.model_path": MODELS / "ch_ppocr_mobile_v2.0_cls_mobile.onnx",
    "Rec.model_path": MODELS / "PP-OCRv6_rec_small.onnx",
}
"""The networks that find lines, tell which stand on their heads, and read them. Named outright, so that none is ever
downloaded."""
NUM_ASKED = 9
"""Of so many lines, the longest, it is asked whether they stand on their heads; most of them decide for the picture."""
ILLEGIBLE = 0.5
"""A line with a lower score is left out."""


class Read:
    """An OCR engine; its networks come with the library."""

    def setup(self, checkpoints: dict[str, str], device: str) -> None:
        has_cuda = device.startswith("cuda") and "CUDAExecutionProvider" in onnxruntime.get_available_providers()
        settings: dict[str, Any] = {name: str(path) for name, path in FILES.items()}
        settings |= {"Global.log_level": "critical", "EngineConfig.onnxruntime.use_cuda": has_cuda}
        self._engine = rapidocr.RapidOCR(params=settings)
        white = np.full((64, 256, 3), 255, np.uint8)  # the engine loads a network when it is first used
        self._rows(white)
        self._stands_on_its_head(white)

    def run(self, batch: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [self._read(call["image"]) for call in batch]

    def close(self) -> None:
        del self._engine

    def _read(self, image: Image.Image) -> dict[str, Any]:
        sheet = Sheet.of(image)
        rows = self._rows(sheet.pixels)
        lines = [line.within(image.size, sheet.left, sheet.top) for row in rows for line in row]
        return {
            "text": "\n".join(" ".join(line.text for line in row) for row in rows),
            "lines": [line.as_data() for line in lines],
            "boxes": np.array([line.box for line in lines], np.float32).reshape(-1, 4),
        }

    def _rows(self, picture: Pixels) -> list[list[Line]]:
        lines = self._lines(picture)
        if not self._is_upside_down(picture, lines):
            return in_rows(lines)
        height, width = picture.shape[:2]
        rows = in_rows(self._lines(np.ascontiguousarray(picture[::-1, ::-1])))
        return [[line.turned(width, height) for line in row] for row in rows]

    def _lines(self, picture: Pixels) -> list[Line]:
        found = self._engine(picture, use_det=True, use_cls=False, use_rec=True, text_score=ILLEGIBLE)
        if found.boxes is None or found.txts is None or found.scores is None:
            return []
        return [
            Line(text, float(score), np.asarray(polygon, np.float32))
            for polygon, text, score in zip(found.boxes, found.txts, found.scores, strict=True)
        ]

    def _is_upside_down(self, picture: Pixels, lines: list[Line]) -> bool:
        """Whether most of the longest lines stand on their heads.

        A single line is often misjudged, which is why the engine's own way, line by line, is not taken.
        """
        asked = sorted(lines, key=lambda line: line.length, reverse=True)[:NUM_ASKED]
        return sum(self._stands_on_its_head(crop(picture, line.polygon)) for line in asked) > len(asked) / 2

    def _stands_on_its_head(self, line: Pixels) -> bool:
        judged = self._engine(line, use_det=False, use_cls=True, use_rec=False).cls_res
        return bool(judged) and judged[0][0] == "180"


def crop(picture: Pixels, polygon: NDArray[np.float32]) -> Pixels:
    """The line in the polygon, levelled; uint8 [height, width, 3]."""
    return get_rotate_crop_image(picture, polygon.copy())
