"""Have a text written and judged: each draft, and what the critic says of it, is there as soon as it is made.

python examples/08_draft_and_critique.py REQUEST [--profile NAME]
"""

from __future__ import annotations

import argparse
import asyncio

import sensorium
from sensorium.events import NodeFinished


async def main(request: str, profile: str | None) -> None:
    project = sensorium.Project.find(profile=profile)
    async for event in project.graph("draft-and-critique").stream(request=request):
        match event:
            case NodeFinished(node="rounds/write", outputs=outputs):
                print(f"draft: {outputs['text']}")
            case NodeFinished(node="rounds/judge", outputs=outputs):
                print(f"critic: {outputs['critique']}")
            case NodeFinished(node="rounds", outputs=outputs):
                print(f"is good: {outputs['is_good']}, rounds: {outputs['round']}")
            case _:
                pass
    await project.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("request", help="the text that is wanted")
    parser.add_argument("--profile", help="profile to run with")
    given = parser.parse_args()
    asyncio.run(main(given.request, given.profile))
