"""Processes of tools: one directory each under `SENSORIUM_HOME/workers`, through which commands find them again.

    workers/<tool>-<key>/   readable by its owner alone
        lock                held while somebody looks for the process, or starts it
        socket              where it listens
        start.json          what it was told
        state.json          which process it is
        log                 its standard output and error

The key is a digest of all that makes two workers different: what decides results, the engine, the device, the places
of folder and checkpoints. Whoever starts the process makes the listening socket and hands it over, so a socket that
accepts means a process that lives, and connecting never waits for Python to start.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import os
import shutil
import signal
import site
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import psutil

from sensorium.errors import OperatorError
from sensorium.host.contract import Binding
from sensorium.host.engine import engine_digest, package_parent, staged_engine
from sensorium.host.lock import locked
from sensorium.worker.frames import Start

__all__ = [
    "Found",
    "ProcessState",
    "connect",
    "end_lost",
    "exit_words",
    "find_or_start",
    "kill",
    "known",
    "last_words",
    "place_of",
]

_PRIVATE = 0o700
_LOCK_S = 20.0
_CONNECT_S = 5.0
_REAP_S = 2.0
_BACKLOG = 128
_FORGET_S = 24 * 3600.0
_TAIL_BYTES = 2000
_TAIL_LINES = 12


class ProcessState(msgspec.Struct, frozen=True):
    """Which process a worker is: `state.json`."""

    tool: str
    identity: str
    device: str
    folder: str
    folder_digest: str
    engine: str
    pid: int
    started_s: float
    """Seconds since the epoch."""
    log_from: int
    """Where in the log this process began to write."""


@dataclass(frozen=True, slots=True)
class Found:
    """A connection to a worker's process."""

    sock: socket.socket
    state: ProcessState
    directory: Path
    is_new: bool
    """Whether the process was started just now, by this process."""


_children: dict[int, subprocess.Popen[bytes]] = {}
"""Workers that this process started: it alone learns how they end."""


@atexit.register
def _leave_children() -> None:
    for child in _children.values():
        if child.poll() is None:
            child.returncode = 0  # A worker that outlives us is meant to; Popen would warn of it.


def place_of(home: Path, binding: Binding) -> Path:
    """The directory of the worker that serves `binding`."""
    parts = [binding.identity, engine_digest(), binding.device, str(binding.folder)]
    parts += [f"{role}={path}" for role, path in sorted(binding.checkpoints.items())]
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    return home / "workers" / f"{binding.spec.name}-{key[:20]}"


def find_or_start(home: Path, binding: Binding, grace_s: float) -> Found:
    """A connection to the worker that serves `binding`, started where there is none. Blocks, though not for `setup`.

    Raises:
        OperatorError: The directory cannot be written or is open to others, or the interpreter cannot be started.
    """
    directory = place_of(home, binding)
    lock = directory / "lock"
    for child in list(_children.values()):
        child.poll()
    try:
        _make_private(home / "workers")
        _make_private(directory)
        with locked(lock, _LOCK_S, f"{lock} has been held for {_LOCK_S:g} s; another command hangs: end it"):
            found = _living(directory) or _start(home, directory, binding, grace_s)
    except OSError as error:
        raise OperatorError(
            f"tool {binding.spec.name}: its worker cannot be started from {directory}: {error.strerror or error}; "
            "look at the rights, the disk and the interpreter"
        ) from error
    return found


def connect(directory: Path) -> socket.socket | None:
    """A connection to the process that lives in `directory`; None where none listens."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(_CONNECT_S)
    try:
        with _short_path(directory) as path:
            sock.connect(path)
    except OSError:
        sock.close()
        return None
    sock.setblocking(False)
    return sock


def known(home: Path, tool: str | None = None) -> list[tuple[Path, ProcessState]]:
    """Directories of workers, dead ones among them, with what they say."""
    found: list[tuple[Path, ProcessState]] = []
    for directory in sorted((home / "workers").glob("*")):
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            state = _read_state(directory)
            if tool in (None, state.tool):
                found.append((directory, state))
    return found


def kill(pid: int) -> None:
    """Ends a worker's process and whatever it started, at once; where it was stands in its log."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGUSR1)
        time.sleep(0.1)
        os.killpg(pid, signal.SIGKILL)


def end_lost(pid: int, directory: Path) -> None:
    """Ends what is left of a worker whose connection was lost: itself where nobody can reach it, and what it started.

    One that answers serves others. A process that has its number by now is left alone too: while a group has members,
    no other process gets the number of its leader.
    """
    if _lives(pid):
        sock = connect(directory)
        if sock is not None:
            sock.close()
            return
        if not _is_worker(pid, directory):
            return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _is_worker(pid: int, directory: Path) -> bool:
    try:
        return str(directory) in psutil.Process(pid).cmdline()
    except psutil.Error:
        return False


def exit_words(pid: int) -> str:
    """How a process that is about to end has ended, as far as this process can know."""
    child = _children.get(pid)
    if child is None:
        return "its process ended"
    try:
        code = child.wait(_REAP_S)
    except subprocess.TimeoutExpired:
        return "its process closed its socket"
    _children.pop(pid, None)
    if code < 0:
        return f"its process was ended by {signal.Signals(-code).name}"
    return f"its process ended with exit code {code}"


def last_words(home: Path, directory: Path) -> str:
    """The last lines of a worker's log and its path, for the end of a message."""
    name = (directory / "log").relative_to(home)
    try:
        began = _read_state(directory).log_from
        with (directory / "log").open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(began if began < size else 0, size - _TAIL_BYTES))
            lines = log.read().decode(errors="replace").splitlines()[-_TAIL_LINES:]
    except (OSError, msgspec.MsgspecError):
        lines = []
    if not lines:
        return f"its log is $SENSORIUM_HOME/{name}"
    return f"the last lines of its log, $SENSORIUM_HOME/{name}:\n" + "\n".join(f"  {line}" for line in lines)


def _living(directory: Path) -> Found | None:
    """A connection to the worker that lives in `directory`; None where none does that anybody could know.

    Whoever started it may have died before writing which process it is. Nobody reaches it once another has its socket's
    place, and it ends by itself.
    """
    sock = connect(directory)
    if sock is None:
        return None
    try:
        return Found(sock, _read_state(directory), directory, is_new=False)
    except FileNotFoundError:
        sock.close()
        return None


def _start(home: Path, directory: Path, binding: Binding, grace_s: float) -> Found:
    _forget_dead(home, binding.spec.name, directory)
    (directory / "state.json").unlink(missing_ok=True)  # that of another process must never be taken for this one's
    (directory / "start.json").write_bytes(msgspec.json.encode(_start_of(binding, grace_s)))
    listener = _listen(directory)
    try:
        with (directory / "log").open("ab") as log:
            log_from = log.tell()
            child = subprocess.Popen(
                [
                    str(binding.python or sys.executable),
                    "-P",
                    "-m",
                    "sensorium.worker",
                    directory,
                    str(listener.fileno()),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=directory,
                env=_environment(home, binding),
                pass_fds=(listener.fileno(),),
                start_new_session=True,
            )
        _children[child.pid] = child
        state = ProcessState(
            tool=binding.spec.name,
            identity=binding.identity,
            device=binding.device,
            folder=str(binding.folder),
            folder_digest=binding.folder_digest,
            engine=engine_digest(),
            pid=child.pid,
            started_s=time.time(),
            log_from=log_from,
        )
        _write_state(directory, state)
        sock = connect(directory)
    finally:
        listener.close()
    if sock is None:
        raise OSError(f"{directory / 'socket'} does not accept")
    return Found(sock, state, directory, is_new=True)


def _start_of(binding: Binding, grace_s: float) -> Start:
    signature = binding.spec.signature
    return Start(
        tool=binding.spec.name,
        folder=str(binding.folder),
        checkpoints={role: str(path) for role, path in binding.checkpoints.items()},
        device=binding.device,
        inputs={port: str(kind) for port, kind in signature.inputs.items()},
        outputs={port: str(kind) for port, kind in signature.outputs.items()},
        twins=binding.spec.twins,
        identity=binding.weights,
        batch_max=binding.spec.batch.max,
        wait_s=binding.spec.batch.wait_ms / 1000,
        setup_s=binding.setup_s,
        grace_s=grace_s,
    )


def _environment(home: Path, binding: Binding) -> dict[str, str]:
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONHOME", "PYTHONSTARTUP")}
    if binding.python is None:
        # What is installed is found anyway, and must not come before the standard library.
        ours = [] if str(package_parent()) in site.getsitepackages() else [str(package_parent())]
        inherited = [env["PYTHONPATH"]] if env.get("PYTHONPATH") else []
        env["PYTHONPATH"] = os.pathsep.join([*ours, *inherited])
    else:
        env["PYTHONPATH"] = str(staged_engine(home))
    env["PYTHONUNBUFFERED"] = "1"
    env["HF_HUB_OFFLINE"] = "1"
    env["SENSORIUM_HOME"] = str(home)  # where the key of sealed frames lies
    env["TOKENIZERS_PARALLELISM"] = "false"
    env.setdefault("OMP_NUM_THREADS", str(_num_cores()))
    env.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # a thread that waits by spinning takes a core from another worker
    return env | dict(binding.settings)


def _num_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _listen(directory: Path) -> socket.socket:
    (directory / "socket").unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _short_path(directory) as path:
            sock.bind(path)
        sock.listen(_BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


@contextlib.contextmanager
def _short_path(directory: Path) -> Generator[str]:
    """A path of the socket that fits into the 108 bytes of a Unix address, however long the directory's is."""
    if not Path("/proc/self/fd").is_dir():
        yield str(directory / "socket")
        return
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{handle}/socket"
    finally:
        os.close(handle)


def _make_private(directory: Path) -> None:
    directory.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
    found = directory.lstat()
    if found.st_uid != os.geteuid() or not stat.S_ISDIR(found.st_mode):
        raise OperatorError(f"{directory} belongs to somebody else; give SENSORIUM_HOME a folder of your own")
    if stat.S_IMODE(found.st_mode) != _PRIVATE:
        directory.chmod(_PRIVATE)


def _read_state(directory: Path) -> ProcessState:
    return msgspec.json.decode((directory / "state.json").read_bytes(), type=ProcessState)


def _write_state(directory: Path, state: ProcessState) -> None:
    fresh = directory / "state.json.new"
    fresh.write_bytes(msgspec.json.encode(state))
    fresh.replace(directory / "state.json")


def _forget_dead(home: Path, tool: str, own: Path) -> None:
    """Removes what workers of the same tool left that ended more than a day ago."""
    for directory, _ in known(home, tool):
        if directory == own:
            continue
        with contextlib.suppress(OSError, OperatorError):
            if time.time() - (directory / "log").stat().st_mtime < _FORGET_S:
                continue
            sock = connect(directory)
            if sock is None:
                shutil.rmtree(directory)
            else:
                sock.close()
