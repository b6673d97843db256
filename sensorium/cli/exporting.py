"""Where spans go: to the exporter that OpenTelemetry's own environment variables name, and nowhere without them."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import typer

import sensorium

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

__all__ = ["exporting_spans"]

_WANTED_BY = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_TRACES_EXPORTER")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_PATIENCE_S = 2.0
"""How long the last spans may take to be sent."""


@contextmanager
def exporting_spans() -> Generator[None]:
    """Sends the spans of the runs within, where the environment wants that and nobody has seen to it already.

    What goes wrong is said once on standard error and fails nothing; a dead endpoint takes `_PATIENCE_S` at most.
    """
    wanted = _wanted()
    provider = _installed(wanted) if wanted else None
    if provider is None:
        yield
        return
    failures = _Failures()
    try:
        yield
    finally:
        if not failures.flushed(provider):
            typer.echo(f"sensorium: {wanted} is set, and not all spans were taken where it points to", err=True)
        failures.close()


def _wanted() -> str:
    """The variable that wants spans; empty where none does."""
    told = {name: value for name in _WANTED_BY if (value := os.environ.get(name, "").strip())}
    is_off = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    return "" if is_off or told.get("OTEL_TRACES_EXPORTER") == "none" else next(iter(told), "")


def _installed(wanted: str) -> TracerProvider | None:
    """The provider that runs find from now on; None where there can be none, or there is one already."""
    try:
        from opentelemetry import trace  # OpenTelemetry loads where spans are wanted, and is an extra

        if not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
            return None
        provider = _provider()
    except ImportError:
        typer.echo(
            f"sensorium: {wanted} is set, and what sends spans is not installed; install it with: "
            "pip install 'sensorium[otel]'",
            err=True,
        )
        return None
    except Exception as error:
        typer.echo(f"sensorium: no spans are sent, since the OTEL_ variables cannot be followed: {error}", err=True)
        return None
    trace.set_tracer_provider(provider)
    return provider


def _provider() -> TracerProvider:
    from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource.create({})
    if str(resource.attributes.get(SERVICE_NAME, "unknown_service")).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: "sensorium", SERVICE_VERSION: sensorium.__version__}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    for name in (os.environ.get("OTEL_TRACES_EXPORTER", "").strip() or "otlp").split(","):
        provider.add_span_processor(BatchSpanProcessor(_exporter(name.strip())))
    return provider


def _exporter(name: str) -> Any:
    """The exporter of a name, as every package that brings one declares it.

    Raises:
        ImportError: It is one of ours, and not installed.
        ValueError: There is none of that name.
    """
    if name == "console":
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter

        return ConsoleSpanExporter(out=sys.stderr)
    if name == "otlp":
        protocol = next((value for key in _PROTOCOLS if (value := os.environ.get(key))), "http/protobuf")
        name = "otlp_proto_grpc" if protocol == "grpc" else "otlp_proto_http"
    found = entry_points(group="opentelemetry_traces_exporter", name=name)
    if found:
        return next(iter(found)).load()()
    if name == "otlp_proto_http":
        raise ImportError(name)
    raise ValueError(f"no exporter {name!r} is installed; otlp (over http/protobuf) and console are there")


class _Failures(logging.Handler):
    """Hears what OpenTelemetry logs, in place of the terminal, which a dead endpoint would fill."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._logger = logging.getLogger("opentelemetry")
        self._settled = threading.Event()
        self._failed = False
        self._propagated = self._logger.propagate
        self._logger.propagate = False
        self._logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """An export failed, or is about to be tried again."""
        self._failed = True
        self._settled.set()

    def flushed(self, provider: TracerProvider) -> bool:
        """Whether all spans were sent; returns at the first failure, and in time. The provider is used no more."""
        self._settled.clear()
        ended = threading.Event()

        def flush() -> None:
            provider.shutdown()
            ended.set()
            self._settled.set()

        threading.Thread(target=flush, name="spans", daemon=True).start()
        self._settled.wait(_PATIENCE_S)
        return ended.is_set() and not self._failed

    def close(self) -> None:
        """Lets OpenTelemetry log as it did."""
        self._logger.removeHandler(self)
        self._logger.propagate = self._propagated
        super().close()
