"""Whether a reply claims a thing just where it was found: `python benchmarks/claims.py [--profile small]`.

Ten photographs, each asked for what it shows and for two things that others show, in three ways: by `describe-and-cut`,
and by `chat` to cut it out or to say where it is. A reply is right where it says that the thing was not found just when
`find` finds none. What `find` itself is worth, describe_and_cut.py tells.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from describe_and_cut import ALSO_SHOWN, path_of
from report import Figure, report

from sensorium.graph import RunOptions
from sensorium.project import Project

WAYS = {
    "describe-and-cut": ("describe-and-cut", "picture", "What is in this picture? Cut out the {}."),
    "chat, to cut out": ("chat", "image", "Cut out the {}."),
    "chat, to say where": ("chat", "image", "Where is the {}?"),
}
"""Graph, its input for the picture, and the request."""

_NUM_ABSENT = 2
_DENIES = re.compile(r"(could not|couldn't|can not|cannot|can't) find|found nothing|not found|no .{0,40} found", re.I)


class Reply(NamedTuple):
    """What one request came to."""

    way: str
    picture: str
    phrase: str
    is_found: bool
    answer: str

    @property
    def is_right(self) -> bool:
        return (_DENIES.search(self.answer) is None) is self.is_found


def questions(things: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], str]]:
    """Photographs with what to ask for: what each shows, then what the next ones show and it does not."""
    for index, thing in enumerate(things):
        yield thing, thing["phrase"]
        others = [things[(index + step) % len(things)]["phrase"] for step in (3, 5, 7, 1, 2, 4)]
        absent = [other for other in others if other != thing["phrase"] and (thing["name"], other) not in ALSO_SHOWN]
        for phrase in absent[:_NUM_ABSENT]:
            yield thing, phrase


async def replies(profile: str) -> list[Reply]:
    things: list[dict[str, Any]] = json.loads((Path(__file__).parent / "polygons.json").read_text())
    project = Project(None, profile=profile)
    find = project.graph("find")
    said: list[Reply] = []
    for thing, phrase in questions(things):
        found: Any = await find.arun(image=path_of(thing), phrase=phrase)
        for way, (name, port, request) in WAYS.items():
            given = {port: path_of(thing), "request": request.format(phrase)}
            result: Any = await project.graph(name).arun(given, options=RunOptions(fresh=name == "chat"))
            reply = Reply(way, thing["name"], phrase, found["count"].value > 0, str(result["answer"]))
            said.append(reply)
            if not reply.is_right:
                where = "found" if reply.is_found else "not found"
                print(f"  {way}: {phrase} in {thing['name']}, {where}: {reply.answer}")
    await project.close()
    return said


def main(profile: str) -> None:
    said = asyncio.run(replies(profile))
    figures: list[Figure] = []
    for way in WAYS:
        for is_found in (True, False):
            those = [reply for reply in said if reply.way == way and reply.is_found is is_found]
            name = f"{way}: share of {len(those)} replies right where the thing was {'' if is_found else 'not '}found"
            figures.append(Figure(name, sum(reply.is_right for reply in those) / len(those), 0.95, at_most=False))
    report(f"claims-{profile}", figures, replies=[reply._asdict() for reply in said])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="small")
    main(parser.parse_args().profile)
