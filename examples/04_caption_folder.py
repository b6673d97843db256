"""Caption every picture of a folder, several at once, and print each as it is ready.

python examples/04_caption_folder.py FOLDER
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import sensorium
from sensorium.events import NodeFinished

ENDINGS = {".png", ".jpg", ".jpeg", ".webp"}


async def main(pictures: list[Path]) -> None:
    graph = sensorium.load("caption-folder")
    async for event in graph.stream(pictures=pictures):
        if isinstance(event, NodeFinished) and event.node.startswith("look["):
            number = int(event.node.split("[")[1].rstrip("]"))
            print(f"{pictures[number].name}: {event.outputs['caption']}")


if __name__ == "__main__":
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        sys.exit((__doc__ or "").strip())
    asyncio.run(main(sorted(path for path in Path(sys.argv[1]).iterdir() if path.suffix.lower() in ENDINGS)))
