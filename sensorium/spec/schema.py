"""JSON Schemas of the files that people write, for editors."""

from __future__ import annotations

import ast
import inspect
import itertools
import sys
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from sensorium.spec.agent import AgentLimits, AgentSpec
from sensorium.spec.catalogue import Catalogue
from sensorium.spec.graph import ElseSpec, GraphSpec, NodeSpec, WireSpec
from sensorium.spec.manifest import FileSpec, HubPlace, Manifest, PathPlace, WheelPlace
from sensorium.spec.projectfile import Limits, ModelSetting, Profile, ProjectFile, ToolSetting
from sensorium.spec.tool import BatchSpec, OutputSpec, ToolSpec

__all__ = ["schema_line", "schemas"]

_FILES: Final[dict[str, type[BaseModel]]] = {
    "graph": GraphSpec,
    "tool": ToolSpec,
    "agent": AgentSpec,
    "project": ProjectFile,
}
_PIECES: Final[tuple[type[BaseModel], ...]] = (
    *_FILES.values(), ElseSpec, NodeSpec, WireSpec, BatchSpec, OutputSpec, AgentLimits, Limits, ModelSetting, Profile,
    ToolSetting, FileSpec, HubPlace, Manifest, PathPlace, WheelPlace,
)  # fmt: skip


def schemas(catalogue: Catalogue | None = None) -> dict[str, dict[str, Any]]:
    """A JSON Schema (draft 2020-12) for each kind of file: `graph`, `tool`, `agent`, `project`.

    With a catalogue, what may be called is offered by name.
    """
    notes = {model.__name__: _notes(model) for model in _PIECES}
    made: dict[str, dict[str, Any]] = {}
    for name, model in _FILES.items():
        schema: dict[str, Any] = {"$schema": GenerateJsonSchema.schema_dialect}
        schema |= {**model.model_json_schema(by_alias=True), "title": f"Sensorium {name} file"}
        definitions: dict[str, dict[str, Any]] = schema.get("$defs", {})
        for title, piece in [(model.__name__, schema), *definitions.items()]:
            _describe(piece, notes.get(title, {}))
            _one_of(title, piece)
            if catalogue is not None:
                _offer(title, piece, catalogue)
        made[name] = schema
    return made


def schema_line(address: str) -> str:
    """The first line of a YAML file whose editor shall use the schema at `address`."""
    return f"# yaml-language-server: $schema={address}"


def _describe(piece: dict[str, Any], notes: dict[str, str]) -> None:
    for key, note in notes.items():
        if key in piece.get("properties", {}):
            piece["properties"][key].setdefault("description", note)
    for key, said in piece.get("properties", {}).items():
        said.pop("title", None)
        if said.get("description") is None and key in notes:
            said["description"] = notes[key]


def _one_of(title: str, piece: dict[str, Any]) -> None:
    choices = {"NodeSpec": ("tool", "agent", "graph"), "ElseSpec": ("tool", "graph", "value")}.get(title, ())
    if choices:
        piece["oneOf"] = [{"required": [choice]} for choice in choices]


def _offer(title: str, piece: dict[str, Any], catalogue: Catalogue) -> None:
    known = {"tool": catalogue.tools, "agent": catalogue.agents, "graph": catalogue.graphs}
    properties = piece.get("properties", {})
    if title in ("NodeSpec", "ElseSpec"):
        for kind, entries in known.items():
            if kind in properties and entries:
                note = properties[kind].get("description")
                properties[kind] = {"enum": sorted(entries), **({"description": note} if note else {})}
    if title == "AgentSpec":
        names = sorted({name for entries in known.values() for name in entries})
        if names:
            properties["tools"]["items"] = {"enum": names}


def _notes(model: type[BaseModel]) -> dict[str, str]:
    """What the source says under each field, by the key that stands in a file."""
    module = sys.modules[model.__module__]
    try:
        tree = ast.parse(inspect.getsource(module))
    except OSError:  # an installation without sources: the schema then goes without notes
        return {}
    classes = (node for node in tree.body if isinstance(node, ast.ClassDef))
    body = next(node.body for node in classes if node.name == model.__name__)
    notes: dict[str, str] = {}
    for field, note in itertools.pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(note, ast.Expr):
            said = note.value.value if isinstance(note.value, ast.Constant) else None
            declared = model.model_fields.get(field.target.id)
            if isinstance(said, str) and declared is not None:
                notes[declared.alias or field.target.id] = " ".join(said.split())
    return notes
