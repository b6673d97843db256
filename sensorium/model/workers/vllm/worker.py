"""A server of vLLM, which lives as long as this worker does."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, NoReturn

LOOK_S = 0.25
"""How often a server that starts is asked whether it is ready."""
CLOSE_S = 4.0
"""How long the server is waited for when it is to end; its guard goes on after that."""


class Vllm:
    """Starts a server on a free port of this machine, and tells where it is and what to show it."""

    def setup(self, checkpoints: dict[str, str], device: str) -> None:
        """Starts the server, and waits until it is ready.

        Raises:
            RuntimeError: It ended instead.
        """
        port = _free_port()
        key = secrets.token_urlsafe(24)
        served = os.environ["SENSORIUM_SERVED"]
        self._address = {"url": f"http://127.0.0.1:{port}/v1", "key": key, "served": served}
        self._is_closing = False
        command = _command(checkpoints["weights"], served, port)
        guard = [sys.executable, "-P", str(Path(__file__).with_name("guard.py")), *command]
        said_from = _log_size()
        self._guard = subprocess.Popen(
            guard, stdin=subprocess.PIPE, env=_environment(device, key), start_new_session=True
        )
        while not _is_ready(port):
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = self._guard.wait(LOOK_S)
                raise RuntimeError(f"vLLM ended with exit code {code} before it was ready{_cause(said_from)}")
        threading.Thread(target=self._end_with_server, daemon=True).start()

    def run(self, batch: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The server's address, the same for every call."""
        return [{"address": self._address} for _ in batch]

    def close(self) -> None:
        """Ends the server."""
        self._is_closing = True
        assert self._guard.stdin is not None
        self._guard.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._guard.wait(CLOSE_S)

    def _end_with_server(self) -> None:
        """Ends this process when the server ends, so that the next call starts both anew."""
        code = self._guard.wait()
        if not self._is_closing:
            print(f"the server ended with exit code {code}", file=sys.stderr, flush=True)
            _leave(1)


def _leave(code: int) -> NoReturn:
    os._exit(code)


def _command(weights: str, served: str, port: int) -> list[str]:
    own = {"model": weights, "served-model-name": served, "host": "127.0.0.1", "port": port}
    flags: dict[str, Any] = {**json.loads(os.environ["SENSORIUM_FLAGS"]), **own}
    command = [sys.executable, "-P", "-m", "vllm.entrypoints.openai.api_server"]
    for name, value in flags.items():
        if isinstance(value, bool):
            command.append(f"--{name}" if value else f"--no-{name}")
        else:
            command += [f"--{name}", str(value)]
    return command


def _environment(device: str, key: str) -> dict[str, str]:
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    env |= {"VLLM_API_KEY": key, "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"}
    for name in ("OMP_NUM_THREADS", "OMP_WAIT_POLICY"):
        env.pop(name, None)  # vLLM counts and binds its threads itself
    if device == "cpu":
        env.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    else:
        env["CUDA_VISIBLE_DEVICES"] = device.partition(":")[2] or "0"
    return env


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def _is_ready(port: int) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}/health", timeout=5):
            return True
    except (urllib.error.URLError, OSError):
        return False


def _log_size() -> int:
    """How long the log is that standard output goes to; 0 where it is no file."""
    return os.fstat(sys.stdout.fileno()).st_size


def _cause(start: int) -> str:
    """The first error that the server told of, for the end of a message; it ends with less telling ones."""
    with contextlib.suppress(OSError):
        log = Path("log").read_bytes()[start:].decode(errors="replace")
        for line in log.splitlines():
            words = line.rpartition("] ")[2].strip()
            if words.partition(":")[0].endswith(("Error", "Exception")) or "error: " in words:
                return f": {words[:400]}"
    return ""
