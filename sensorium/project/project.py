"""A project with the box: what can be called, and everything that a run needs."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path

from sensorium.agent.planning import Way
from sensorium.checkpoint import Checkpoints
from sensorium.database import Database, open_database
from sensorium.errors import AuthorError, CallerError, Fault, OperatorError
from sensorium.graph import Graph
from sensorium.graph.services import Placed
from sensorium.host import InlineHost, WorkerHost
from sensorium.host.contract import Binding, Host
from sensorium.host.environment import Environments
from sensorium.latent.bridge import Bridge, read_bridge
from sensorium.latent.cards import CardShelf
from sensorium.latent.kv import KvTables
from sensorium.latent.kv_files import find_tables
from sensorium.latent.sealing import Sealer
from sensorium.model import open_attached, open_model
from sensorium.model.contract import Model
from sensorium.model.scripted import ScriptedModel
from sensorium.project.entries import fill_catalogue
from sensorium.project.folders import PROJECT_FILE, box_folder, find_project, home_folder, members
from sensorium.project.profiles import choose_device, resolve_profile, role_checkpoints
from sensorium.project.served import attachment_of, model_device, model_requirements
from sensorium.project.single import single_node
from sensorium.results import Results
from sensorium.runs import Runs
from sensorium.spec.build import GraphBuilder
from sensorium.spec.catalogue import Catalogue, ToolEntry
from sensorium.spec.check import check
from sensorium.spec.manifest import Manifest
from sensorium.spec.nearest import closest
from sensorium.spec.projectfile import Limits, ModelSetting, Profile, ProjectFile, ToolSetting
from sensorium.spec.read import GraphSource, expand_environment, read_project, survey_graph, survey_graph_text
from sensorium.store import Store

__all__ = ["Project", "load"]

_KEEP_WARM_S, _SETUP_S, _CALL_S, _PARALLEL, _STORE_DAYS = 300.0, 300.0, 900.0, 16, 30.0


class Project:
    """Tools, agents, graphs, profiles and checkpoints of a project and of the box.

    Args:
        folder: The project's folder; None for the box alone.
        profile: Name of a profile; else `SENSORIUM_PROFILE`, else the project's default, else the box's.
        offline: Download nothing.

    Raises:
        AuthorError: A project file is wrong. Faults of tools, agents and graphs stand in `faults` instead, so that the
            rest stays usable.
        CallerError: There is no such profile.
    """

    def __init__(self, folder: Path | None, *, profile: str | None = None, offline: bool = False) -> None:
        self.offline = offline
        self.box = box_folder()
        self.folder = folder if folder != self.box else None
        box_file = read_project(self.box / PROJECT_FILE)
        own_file = self._own_file()
        self.name = own_file.name if own_file is not None else box_file.name
        self.profiles: dict[str, Profile] = {**box_file.profiles, **(own_file.profiles if own_file else {})}
        self.manifests: dict[str, Manifest] = {**box_file.checkpoints, **(own_file.checkpoints if own_file else {})}
        default = (own_file.profile if own_file else None) or box_file.profile or "embedded"
        self.profile_name = profile or os.environ.get("SENSORIUM_PROFILE") or default
        self.profile: Profile = resolve_profile(self.profile_name, self.profiles)
        self.catalogue: Catalogue
        self.faults: list[Fault]
        self.catalogue, self.faults = fill_catalogue(self.box, self.folder)
        self._models: dict[str, Model] = {}
        self._kv_tables: dict[str, KvTables | None] = {}

    @classmethod
    def find(cls, start: str | Path | None = None, *, profile: str | None = None, offline: bool = False) -> Project:
        """The project at `start`, or the nearest one at or above the working directory, else the box alone."""
        return cls(find_project(None if start is None else Path(start)), profile=profile, offline=offline)

    def _own_file(self) -> ProjectFile | None:
        if self.folder is None or not (self.folder / PROJECT_FILE).is_file():
            return None
        return read_project(self.folder / PROJECT_FILE)

    # What a run asks for

    @property
    def home(self) -> Path:
        """`SENSORIUM_HOME`: checkpoints, store, environments, runs."""
        return self._home

    @property
    def store(self) -> Store:
        """Where bytes lie."""
        return self._store

    @property
    def database(self) -> Database:
        """Where results and runs are kept: `SENSORIUM_DATABASE`, else the profile's database, else a file in the home.

        Raises:
            AuthorError: The profile's database names a variable that is not set.
            OperatorError: It is no URL or path of a database.
        """
        return self._database

    @property
    def results(self) -> Results:
        """Where results of completed calls lie."""
        return self._results

    @cached_property
    def _home(self) -> Path:
        return home_folder()

    @cached_property
    def _store(self) -> Store:
        return Store(self.home / "store")

    @cached_property
    def _database(self) -> Database:
        return open_database(self._database_place())

    def _database_place(self) -> str | Path:
        told = os.environ.get("SENSORIUM_DATABASE")
        if told:
            return told
        if self.profile.database is None:
            return self.home / "runs.sqlite"
        named = expand_environment(self.profile.database, os.environ)
        return named if "://" in named else (self.folder or self.box) / Path(named).expanduser()

    @cached_property
    def _results(self) -> Results:
        return Results(self.database)

    @property
    def runs(self) -> Runs:
        """The book of runs."""
        return self._runs

    @cached_property
    def _runs(self) -> Runs:
        return Runs(self.database)

    @cached_property
    def checkpoints(self) -> Checkpoints:
        """The weights that the manifests name."""
        return Checkpoints(self.home, self.manifests, base=self.folder or self.box)

    @cached_property
    def environments(self) -> Environments:
        """Virtual environments of tools that want their own."""
        return Environments(self.home)

    @cached_property
    def worker_host(self) -> WorkerHost:
        """Runs tools in processes of their own."""
        return WorkerHost(self.home, self.store)

    @cached_property
    def inline_host(self) -> InlineHost:
        """Runs tools in this process."""
        return InlineHost(self.store)

    @property
    def parallel(self) -> int:
        """Most calls at once in one run."""
        return self.profile.limits.parallel or _PARALLEL

    @property
    def allowed(self) -> frozenset[str]:
        """Tools with effects that a language model may call without asking a person."""
        return frozenset(self.profile.allow)

    @property
    def store_days(self) -> float:
        """How many days a collection of the store leaves what runs made after they ended."""
        told = self.profile.limits.store_days
        return _STORE_DAYS if told is None else told

    async def place(self, tool: ToolEntry) -> Placed:
        """The tool with its checkpoints, device and host, as the profile says.

        Raises:
            OperatorError: A checkpoint or environment is missing, or the profile wants a host that is not there.
        """
        setting = self.tool_setting(tool.spec.name)
        roles = role_checkpoints(tool.spec, setting)
        limits = self.profile.limits
        binding = Binding(
            spec=tool.spec,
            folder=tool.folder,
            folder_digest=tool.digest,
            checkpoints={role: self.checkpoints.directory(name) for role, name in roles.items()},
            checkpoint_digests={role: self.checkpoints.digest(name) for role, name in roles.items()},
            device=choose_device(setting.device),
            python=self._python(tool, setting),
            keep_warm_s=keep_warm_s(limits),
            setup_s=limits.setup_s or _SETUP_S,
            call_s=limits.call_s or _CALL_S,
        )
        return Placed(self._host(tool, setting), binding)

    @property
    def bridges(self) -> tuple[Bridge, ...]:
        """Maps from what one model computes to what another reads; the project's stand for the box's of the same name.

        Raises:
            AuthorError: One of them has faults.
        """
        return self._bridges

    @cached_property
    def _bridges(self) -> tuple[Bridge, ...]:
        folders = {folder.name: folder for home in self._homes for folder in members(home, "bridges", "bridge.yaml")}
        return tuple(read_bridge(folder) for folder in folders.values())

    @property
    def _homes(self) -> list[Path]:
        """The box and the project, each once."""
        return list(dict.fromkeys(home for home in (box_folder(), self.folder) if home is not None))

    def kv_tables(self, weights: str) -> KvTables | None:
        """What the learned codecs know of the keys and values of these weights; None where nobody made tables.

        Raises:
            AuthorError: The tables are damaged.
        """
        if weights not in self._kv_tables:
            folders = (folder for home in self._homes for folder in members(home, "codecs", "card.json"))
            self._kv_tables[weights] = find_tables(folders, weights)
        return self._kv_tables[weights]

    @property
    def cards(self) -> CardShelf:
        """What was measured about ways that lose something: here first, then what the box brings."""
        return CardShelf([self.home / "cards", box_folder() / "cards"])

    def way(self, role: str) -> Way:
        """How agents plan whose language model serves a role; step by step where the profile says nothing."""
        setting = self.profile.models.get(role)
        return "steps" if setting is None else setting.plan

    async def model(self, role: str) -> Model:
        """The language model that serves a role.

        Raises:
            OperatorError: Its checkpoint or service is missing, or the profile names none.
        """
        if role not in self._models:
            setting = self.profile.models.get(role)
            if setting is None:
                known = ", ".join(sorted(self.profile.models)) or "(none)"
                raise OperatorError(
                    f"profile {self.profile_name!r} names no model for role {role!r}; its roles: {known}"
                )
            self._models[role] = self._open_model(role, setting)
        return self._models[role]

    def _open_model(self, role: str, setting: ModelSetting) -> Model:
        limits = self.profile.limits
        call_s = limits.call_s or _CALL_S
        attachment = attachment_of(setting, self.checkpoints, os.environ)
        if attachment is not None:
            return open_attached(attachment, call_s=call_s)
        if setting.checkpoint is None:
            return ScriptedModel(setting.replies, reads=setting.reads)
        return open_model(
            role,
            setting,
            checkpoint=self.checkpoints.directory(setting.checkpoint),
            digest=self.checkpoints.digest(setting.checkpoint),
            host=self.worker_host,
            device=model_device(setting),
            keep_warm_s=keep_warm_s(limits),
            setup_s=limits.setup_s or _SETUP_S,
            call_s=call_s,
            python=self._model_python(setting),
            sealer=Sealer(self.store, self.home),
        )

    def _model_python(self, setting: ModelSetting) -> Path | None:
        requirements = model_requirements(setting)
        if requirements is not None:
            return self.environments.python(requirements)
        return None if setting.environment is None else Path(setting.environment).expanduser()

    async def close(self) -> None:
        """Lets go of hosts, models and the database. Workers that are to stay warm stay."""
        for model in self._models.values():
            await model.close()
        self._models.clear()
        await self.worker_host.close()
        await self.inline_host.close()
        if "_database" in vars(self):
            self._database.close()

    def callable_by(self, graph: Graph) -> list[str]:
        """What the agents of a graph may call, in the order in which they name it."""
        agents = [node.agent for node in graph.spec.nodes.values() if node.agent is not None]
        return list(dict.fromkeys(name for agent in agents for name in self.catalogue.agents[agent].spec.tools))

    def tool_setting(self, name: str) -> ToolSetting:
        """What the profile says of a tool; the defaults where it says nothing."""
        return self.profile.tools.get(name, ToolSetting())

    def _python(self, tool: ToolEntry, setting: ToolSetting) -> Path | None:
        wanted = setting.environment or tool.spec.environment
        if wanted is None:
            return None
        requirements = tool.folder / wanted
        return self.environments.python(requirements) if requirements.is_file() else Path(wanted).expanduser()

    def _host(self, tool: ToolEntry, setting: ToolSetting) -> Host:
        if setting.replicas > 1:
            raise OperatorError(
                f"profile {self.profile_name!r} wants {setting.replicas} replicas of tool {tool.spec.name!r}, and "
                "hosts of this version give one; remove replicas"
            )
        if setting.host == "worker":
            return self.worker_host
        if setting.host == "inline":
            return self.inline_host
        raise OperatorError(
            f"profile {self.profile_name!r} puts tool {tool.spec.name!r} on host {setting.host!r}, which this version "
            "does not have; hosts here: inline, worker"
        )

    # What people ask for

    def graph(self, name: str | Path) -> Graph:
        """A graph that can be run: a name in the project or the box, or a file.

        A tool or an agent becomes a graph of one node.

        Raises:
            AuthorError: The graph has faults; all of them.
            CallerError: There is nothing of that name.
        """
        return self._checked(self._source(str(name)))

    def graph_file(self, path: Path) -> Graph:
        """A graph from a file, whatever it is called.

        Raises:
            AuthorError: It has faults; all of them.
        """
        return self._checked(survey_graph(path))

    @property
    def graph_files(self) -> list[Path]:
        """The graph files of the project, or of the box where there is no project."""
        return sorted(((self.folder or self.box) / "graphs").glob("*.yaml"))

    def _checked(self, source: GraphSource) -> Graph:
        checked = check(source, self.catalogue)
        checked.require()
        return Graph(source, checked, self)

    def _source(self, name: str) -> GraphSource:
        if name.endswith((".yaml", ".yml")):
            return survey_graph(Path(name))
        self.raise_own_faults(name)
        if name in self.catalogue.graphs:
            entry = self.catalogue.graphs[name]
            if entry.path is None:
                raise CallerError(f"graph {name!r} was built in Python; run the Graph itself")
            return survey_graph(entry.path)
        for kind, entries in (("tool", self.catalogue.tools), ("agent", self.catalogue.agents)):
            if name in entries:
                return GraphSource(single_node(kind, name, entries[name].spec.signature), None, "")
        known = [*self.catalogue.graphs, *self.catalogue.tools, *self.catalogue.agents]
        near = closest(name, known)
        hint = f"did you mean {near}? " if near else ""
        raise CallerError(f"there is no graph, tool or agent {name!r}; {hint}`sensorium list` shows what there is")

    def raise_own_faults(self, name: str) -> None:
        """Keeps a name whose file is wrong from being taken for unknown, or for another of that name.

        Raises:
            AuthorError: The file has faults; all of them.
        """
        mine = [fault for fault in self.faults if Path(fault.path).stem == name or Path(fault.path).parent.name == name]
        if mine:
            raise AuthorError(mine)

    def build(self, builder: GraphBuilder) -> Graph:
        """A graph that was built in Python.

        Raises:
            AuthorError: It has faults; all of them.
        """
        return self._checked(GraphSource(builder.spec(), None, ""))

    def parse(self, text: str, path: str = "") -> Graph:
        """A graph from the text of a graph file; `path` names it in faults.

        Raises:
            AuthorError: It has faults; all of them.
        """
        return self._checked(survey_graph_text(text, path))


def keep_warm_s(limits: Limits) -> float:
    """How long idle workers stay, in seconds; `SENSORIUM_KEEP_WARM_S` wins over the profile.

    Raises:
        CallerError: The variable holds no number.
    """
    told = os.environ.get("SENSORIUM_KEEP_WARM_S")
    if told is None:
        return _KEEP_WARM_S if limits.keep_warm_s is None else limits.keep_warm_s
    try:
        return max(0.0, float(told))
    except ValueError as error:
        raise CallerError(f"SENSORIUM_KEEP_WARM_S is {told!r}; give seconds, such as 300") from error


def load(name: str | Path, *, project: str | Path | None = None, profile: str | None = None) -> Graph:
    """A graph that can be run.

    Args:
        name: A graph in the project or the box, a path of a graph file, or a tool or agent by itself.
        project: The project's folder, instead of the nearest one at or above the working directory.
        profile: Name of a profile, instead of the project's default.

    Raises:
        AuthorError: A file is wrong; all faults, each with file, line and column.
        CallerError: There is nothing of that name.
    """
    return Project.find(project, profile=profile).graph(name)
