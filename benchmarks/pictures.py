"""What 2,000 checkpoints over 100 pictures of 4 MB take on the disk: `python benchmarks/pictures.py`.

Each picture goes through twenty nodes of a run of its own. Files of both databases count as they lie there while the
project is open, with their write-ahead logs.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
import tempfile
from pathlib import Path

from engine import PICTURE_BYTES, chain, project
from PIL import Image as PillowImage
from report import Figure, report

PICTURES = 100
NODES = 20


def noise(lots: random.Random) -> PillowImage.Image:
    """A picture that no compression makes smaller than 4 MB."""
    side = int((PICTURE_BYTES / 3) ** 0.5) + 1
    return PillowImage.frombytes("RGB", (side, side), lots.randbytes(side * side * 3))


async def fill(folder: Path) -> dict[str, int]:
    """Runs all pictures; bytes of the media, of the store, of the databases' files, and of what checkpoints hold."""
    made = project(folder)
    graph = chain(made, "paint", "image", "image", NODES, cache="off")  # else equal calls share one result
    lots = random.Random(1)
    media: dict[str, int] = {}
    for _ in range(PICTURES):
        blob = (await graph.arun(image=noise(lots))).image.blob
        media[blob.digest] = blob.size_bytes
    assert len(media) == PICTURES
    told = {
        "media": sum(media.values()),
        "store": size(folder / "store", "**/*"),
        "databases": size(folder, "*.sqlite*"),
        "checkpoints": held(folder / "langgraph.sqlite", CHECKPOINTS),
        "results": held(folder / "runs.sqlite", RESULTS),
    }
    await made.close()
    return told


CHECKPOINTS = """
SELECT (SELECT sum(length(checkpoint) + length(metadata)) FROM checkpoints) + (SELECT sum(length(value)) FROM writes)
"""
RESULTS = "SELECT sum(length(key) + length(node) + length(value)) FROM sensorium_results"


def size(folder: Path, pattern: str) -> int:
    """Bytes of files."""
    return sum(path.stat().st_size for path in folder.glob(pattern) if path.is_file())


def held(database: Path, statement: str) -> int:
    """The number that a statement gives."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        ((number,),) = connection.execute(statement)
    return int(number)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        told = asyncio.run(fill(Path(folder)))
    checkpoints = PICTURES * NODES
    report(
        "pictures",
        [
            Figure(
                f"databases and store over the unique media, {checkpoints} checkpoints over {PICTURES} pictures",
                (told["databases"] + told["store"]) / told["media"],
                1.05,
                unit="x",
            ),
            Figure(
                "checkpoint and result of a node",
                (told["checkpoints"] + told["results"]) / checkpoints,
                4096,
                unit="bytes",
            ),
        ],
        picture_bytes=told["media"] // PICTURES,
        store_over_media=told["store"] / told["media"],
        database_files_per_node_bytes=told["databases"] / checkpoints,
    )


if __name__ == "__main__":
    main()
