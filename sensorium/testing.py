"""A project in miniature, for tests of tools, agents and graphs: everything is real but the weights.

project = Scratch(tmp_path)
project.tool("shout", Shout, inputs={"text": "text"}, outputs={"text": "text"})
project.scripted("central", ["a scripted reply"])
graph = project.graph(\"\"\"
    name: loud
    inputs: {words: text}
    nodes: {shout: {tool: shout, with: {text: $words}}}
    outputs: {loud: $shout.text}
\"\"\")
assert str((await graph.arun(words="hello")).loud) == "HELLO"
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from sensorium.agent.planning import Way
from sensorium.database import Database, SqliteDatabase
from sensorium.errors import OperatorError
from sensorium.graph import Graph
from sensorium.graph.services import Placed
from sensorium.host import InlineHost, WorkerHost
from sensorium.host.contract import Binding, Host
from sensorium.latent.bridge import Bridge
from sensorium.latent.cards import CardShelf
from sensorium.latent.kv import KvTables
from sensorium.model.contract import Ask, Model
from sensorium.model.scripted import ScriptedModel
from sensorium.project.folders import folder_digest
from sensorium.results import Results
from sensorium.runs import Runs
from sensorium.spec.agent import AgentSpec
from sensorium.spec.catalogue import AgentEntry, Catalogue, GraphEntry, ToolEntry
from sensorium.spec.check import check
from sensorium.spec.graph import GraphSpec
from sensorium.spec.read import GraphSource, parse_graph, read_tool
from sensorium.spec.tool import ToolSpec
from sensorium.store import Store

__all__ = ["Scratch", "ScriptedModel"]

_FUTURE = "from __future__ import annotations\n\n"
"""So that a class may be annotated with names that its test alone has."""


class Scratch:
    """Tools, agents, graphs and models made on the spot, with a home of their own: the `Services` of a run.

    Args:
        folder: An empty directory; tools and results go there. The same directory again finds earlier results.
        host: Where tools run: in this process, or in workers' processes as users have them.
        parallel: Most calls at once in one run.
        database: Where results and runs are kept, instead of an SQLite file in the folder; closed by `close`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        host: Literal["inline", "worker"] = "inline",
        parallel: int = 16,
        database: Database | None = None,
    ) -> None:
        self.home = folder
        self.folder: Path | None = None
        self.profile_name = ""
        self.parallel = parallel
        self.tools: dict[str, ToolEntry] = {}
        self.agents: dict[str, AgentEntry] = {}
        self.graphs: dict[str, GraphEntry] = {}
        self.models: dict[str, Model] = {}
        self.tables: dict[str, KvTables] = {}
        """What the learned codecs know, by identity of the weights."""
        self.cards = CardShelf([folder / "cards"])
        self.bridges: tuple[Bridge, ...] = ()
        """Maps from what one model computes to what another reads."""
        self.ways: dict[str, Way] = {}
        """How agents plan, by role of their model; step by step where none is said."""
        self.allowed: frozenset[str] = frozenset()
        self.store = Store(folder / "store")
        self.database: Database = database or SqliteDatabase(folder / "runs.sqlite")
        self.results = Results(self.database)
        self.runs = Runs(self.database)
        self.host: Host = InlineHost(self.store) if host == "inline" else WorkerHost(folder, self.store)

    @property
    def catalogue(self) -> Catalogue:
        """What was made so far."""
        return Catalogue(self.tools, self.agents, self.graphs)

    def tool(
        self,
        name: str,
        worker: type | str,
        *,
        inputs: Mapping[str, str],
        outputs: Mapping[str, Any],
        header: str = "",
        **declared: Any,
    ) -> ToolEntry:
        """Makes a tool, or makes it anew: a folder with `tool.yaml`'s words as given and `worker.py` of a class.

        Args:
            name: The tool's name.
            worker: The worker's class, which stands by itself, or the text of `worker.py`.
            inputs: Types of the input ports.
            outputs: Types of the output ports.
            header: Lines before the class in `worker.py`: imports and constants.
            declared: Further keys of `tool.yaml`.
        """
        folder = self.home / "tools" / name
        folder.mkdir(parents=True, exist_ok=True)
        source = worker if isinstance(worker, str) else inspect.getsource(worker)
        (folder / "worker.py").write_text(f"{_FUTURE}{textwrap.dedent(header)}\n\n{textwrap.dedent(source)}")
        given = {
            "name": name,
            "about": f"The tool {name}.",
            **declared,
            "inputs": dict(inputs),
            "outputs": dict(outputs),
        }
        self.tools[name] = ToolEntry(ToolSpec.model_validate(given), folder, "project", folder_digest(folder))
        return self.tools[name]

    def tool_folder(self, folder: Path) -> ToolEntry:
        """Takes in a tool's folder as it is.

        Raises:
            AuthorError: The folder is wrong.
        """
        spec = read_tool(folder)
        self.tools[spec.name] = ToolEntry(spec, folder, "project", folder_digest(folder))
        return self.tools[spec.name]

    def agent(self, name: str, *, prompt: str = "Answer in a few words.", **declared: Any) -> AgentEntry:
        """Makes an agent of keys as in `agent.yaml`, and the text of its prompt."""
        folder = self.home / "agents" / name
        spec = AgentSpec.model_validate({"name": name, "about": f"The agent {name}.", **declared})
        digest = f"{prompt}\n{spec.model_dump_json()}"
        self.agents[name] = AgentEntry(spec, prompt, folder, "project", digest)
        return self.agents[name]

    def scripted(
        self,
        role: str,
        replies: Sequence[str] | Callable[[Ask], str],
        *,
        is_held: bool = True,
        reads: Collection[str] = (),
    ) -> ScriptedModel:
        """Makes a model that says what it is told to say, and remembers what it was asked.

        Args:
            role: The role that it serves.
            replies: Replies in order, or a function from an ask to its reply.
            is_held: Whether it says only what an ask allows.
            reads: Kinds of part that it takes beside text.
        """
        model = ScriptedModel(replies, is_held=is_held, reads=reads)
        self.models[role] = model
        return model

    def graph(self, given: str | GraphSpec) -> Graph:
        """A graph from the text of a graph file, or built in Python; other graphs can call it from now on.

        Raises:
            AuthorError: It has faults; all of them.
        """
        source = parse_graph(textwrap.dedent(given)) if isinstance(given, str) else GraphSource(given)
        checked = check(source, self.catalogue).require()
        self.graphs[source.spec.name] = GraphEntry(source.spec, checked.signature, None, "project")
        return Graph(source, checked, self)

    async def place(self, tool: ToolEntry) -> Placed:
        """The tool on this project's host, on the CPU."""
        binding = Binding(tool.spec, tool.folder, tool.digest, keep_warm_s=0.0, setup_s=60.0, call_s=60.0)
        return Placed(self.host, binding)

    def kv_tables(self, weights: str) -> KvTables | None:
        """The tables that were given for weights."""
        return self.tables.get(weights)

    def way(self, role: str) -> Way:
        """How agents plan whose language model serves a role."""
        return self.ways.get(role, "steps")

    async def model(self, role: str) -> Model:
        """The model that was given for a role.

        Raises:
            OperatorError: None was.
        """
        if role not in self.models:
            raise OperatorError(f"no model was given for role {role!r}; give one by scripted({role!r}, [...])")
        return self.models[role]

    async def close(self) -> None:
        """Ends the tools."""
        await self.host.close()
        self.database.close()
