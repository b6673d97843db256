"""Declared files, read: the declared thing, or everything that is wrong with the file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from sensorium.errors import AuthorError, Fault
from sensorium.spec.agent import AgentSpec
from sensorium.spec.graph import GraphSpec
from sensorium.spec.projectfile import ProjectFile
from sensorium.spec.tool import ToolSpec
from sensorium.spec.validation import survey, validate
from sensorium.spec.yaml import Document, YamlPath, load_file, survey_file, survey_text

__all__ = [
    "AgentSource",
    "GraphSource",
    "expand_environment",
    "parse_graph",
    "read_agent",
    "read_graph",
    "read_project",
    "read_tool",
    "survey_graph",
    "survey_graph_text",
]

MAX_PROMPT_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class GraphSource:
    """A graph as it is written, and where."""

    spec: GraphSpec
    document: Document | None = None
    """Positions of everything in the file; None for a graph built in Python."""
    path: str = ""
    """The file, as the author would name it; empty where there is none."""
    faults: tuple[Fault, ...] = ()
    """What is wrong with the file already as it is read; `check` tells it with what it finds."""
    lost: frozenset[YamlPath] = frozenset()
    """What `spec` leaves out because of such faults."""


class AgentSource(NamedTuple):
    """An agent as it is written."""

    spec: AgentSpec
    prompt: str
    """The text of `prompt.md`."""


def read_graph(path: str | Path) -> GraphSource:
    """The graph that a file declares.

    Raises:
        AuthorError: The file cannot be read or declares none; every fault is told at once.
    """
    return _required(survey_graph(path))


def parse_graph(text: str, path: str = "") -> GraphSource:
    """The graph that a text declares; `path` names it in faults.

    Raises:
        AuthorError: As `read_graph`.
    """
    return _required(_survey(survey_text(text, path)))


def survey_graph(path: str | Path) -> GraphSource:
    """The graph that a file declares as far as it can be read; `check` then tells all that is wrong with it at once.

    Raises:
        AuthorError: Too little of the file can be read.
    """
    return _survey(survey_file(path))


def survey_graph_text(text: str, path: str = "") -> GraphSource:
    """As `survey_graph`, of a text."""
    return _survey(survey_text(text, path))


_INSTEAD: Final = {"name": "graph", "outputs": {"lost": "$lost"}}
"""What a graph is read on with where these are missing or wrong."""


def _survey(document: Document) -> GraphSource:
    found = survey(GraphSpec, document, _INSTEAD)
    faults = [*found.faults]
    if ("name",) not in found.lost:
        faults += _file_name_faults(document, found.declared.name)
    return GraphSource(found.declared, document, document.path, tuple(faults), found.lost)


def _required(source: GraphSource) -> GraphSource:
    if source.faults:
        raise AuthorError(sorted(source.faults, key=lambda fault: (fault.line, fault.column)))
    return source


def _file_name_faults(document: Document, name: str) -> list[Fault]:
    """Graphs of a project are found by the names of their files."""
    path = Path(document.path)
    if path.parent.name != "graphs" or path.stem == name:
        return []
    return [document.fault(("name",), f"name is {name!r} in file {path.name!r}", f"call the file {name}.yaml")]


def read_tool(folder: str | Path) -> ToolSpec:
    """The tool that a folder declares. Its `worker.py` must be there; it is not opened.

    Raises:
        AuthorError: The folder declares none; every fault is told at once.
    """
    folder = Path(folder)
    document = load_file(folder / "tool.yaml")
    spec = validate(ToolSpec, document)
    faults = [*_name_faults(document, spec.name, folder), *_twin_faults(document, spec)]
    if not (folder / "worker.py").is_file():
        faults.append(Fault(str(folder), 0, 0, "the tool has no worker.py", "add the file that runs it, or remove it"))
    if spec.environment is not None and not (folder / spec.environment).is_file():
        faults.append(
            document.fault(
                ("environment",), f"environment {spec.environment!r} is not a file of the tool", "add the file"
            )
        )
    if faults:
        raise AuthorError(faults)
    return spec


def read_agent(folder: str | Path) -> AgentSource:
    """The agent that a folder declares, and its prompt.

    Raises:
        AuthorError: The folder declares none; every fault is told at once.
    """
    folder = Path(folder)
    document = load_file(folder / "agent.yaml")
    spec = validate(AgentSpec, document)
    faults = _name_faults(document, spec.name, folder)
    prompt = ""
    try:
        prompt = _prompt(folder / "prompt.md")
    except AuthorError as error:
        faults.extend(error.faults)
    if faults:
        raise AuthorError(faults)
    return AgentSource(spec, prompt)


def read_project(path: str | Path) -> ProjectFile:
    """The project that a file declares. `${env:NAME}` in its profiles stays as it is written.

    Raises:
        AuthorError: The file cannot be read or declares none; every fault is told at once.
    """
    return validate(ProjectFile, load_file(path))


def _name_faults(document: Document, name: str, folder: Path) -> list[Fault]:
    expected = folder.resolve().name
    if name == expected:
        return []
    return [
        document.fault(("name",), f"name is {name!r} in folder {expected!r}", "a folder has the name of what it holds")
    ]


def _twin_faults(document: Document, spec: ToolSpec) -> list[Fault]:
    faults: list[Fault] = []
    outputs = spec.signature.outputs
    for port, twin in spec.twins.items():
        at = ("outputs", port, "twin")
        if outputs[port].kind != "latent":
            faults.append(
                document.fault(at, f"output {port!r} is {outputs[port]} and has a twin", "only a latent has one")
            )
        elif twin not in outputs:
            faults.append(document.fault(at, f"twin {twin!r} is not an output", f"add {twin}: text to outputs"))
        elif (outputs[twin].kind, outputs[twin].is_list) != ("text", outputs[port].is_list):
            faults.append(
                document.fault(at, f"twin {twin!r} is {outputs[twin]}", "a twin is text, and a list's a list")
            )
    return faults


def _prompt(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_PROMPT_BYTES + 1)
    except (OSError, ValueError) as error:
        raise AuthorError([Fault(str(path), 0, 0, "the agent has no prompt.md", "add its prompt")]) from error
    if len(raw) > MAX_PROMPT_BYTES:
        raise AuthorError(
            [Fault(str(path), 0, 0, f"the prompt is larger than {MAX_PROMPT_BYTES:,} bytes", "shorten it")]
        )
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = len(raw[raw.rfind(b"\n", 0, error.start) + 1 : error.start].decode("utf-8")) + 1
        found = f"byte 0x{raw[error.start]:02x} is not UTF-8"
        raise AuthorError([Fault(str(path), line, column, found, "save the file as UTF-8")]) from error


_ENVIRONMENT = re.compile(r"\$\{env:([^}]*)\}")


def expand_environment(text: str, environ: Mapping[str, str]) -> str:
    """`text` with every `${env:NAME}` replaced by the variable's value. Neither is stored or traced.

    Raises:
        AuthorError: A variable is not set, or a name is not one.
    """
    faults = [
        Fault("", 0, 0, f"environment variable {name!r} is not set", "set it, or write the value in the profile")
        for name in dict.fromkeys(_ENVIRONMENT.findall(text))
        if name not in environ
    ]
    if faults:
        raise AuthorError(faults)
    return _ENVIRONMENT.sub(lambda match: environ[match[1]], text)
