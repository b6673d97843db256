"""Results and values as the book of runs keeps them."""

from __future__ import annotations

from contextlib import suppress

import msgspec

from sensorium.errors import CallerError
from sensorium.graph.result import ErrorReport, NodeReport, Result
from sensorium.parts import BlobPlace, Value, decode_values, encode_values
from sensorium.runs import End, RunRecord
from sensorium.spec.ports import PortType

__all__ = ["end_of", "read_values", "result_of", "seconds_of"]


class _Report(msgspec.Struct, frozen=True):
    nodes: tuple[NodeReport, ...]
    types: dict[str, str]
    seconds: float
    error: ErrorReport | None


class _Seconds(msgspec.Struct, frozen=True):
    seconds: float


def end_of(result: Result) -> End:
    """What the book keeps of a result."""
    types = {port: str(kind) for port, kind in result.types.items()}
    report = _Report(result.nodes, types, result.seconds, result.error)
    return End(result.status, encode_values(dict(result.outputs)), msgspec.json.encode(report))


def result_of(record: RunRecord, place: BlobPlace) -> Result:
    """The result that the book keeps of a run.

    Args:
        record: What the book says.
        place: Where media lie.

    Raises:
        CallerError: The run has not ended, or what is kept is damaged or of another version.
    """
    end = record.end
    if end is None:
        raise CallerError(
            f"run {record.run} has not ended; wait until it does or, where its process died, go on with it by "
            f"`sensorium runs resume {record.run}`"
        )
    try:
        report = msgspec.json.decode(end.report, type=_Report)
        types = {port: PortType.parse(kind) for port, kind in report.types.items()}
        outputs = decode_values(end.outputs, place)
    except ValueError as error:
        raise CallerError(
            f"the result of run {record.run} is damaged, or of another version of Sensorium: {error}; run its graph "
            "again: calls that were completed are not made again"
        ) from error
    ordered = {port: outputs.get(port) for port in types}
    return Result(record.run, record.graph, end.status, ordered, types, report.nodes, report.seconds, report.error)


def read_values(record: RunRecord, data: bytes, place: BlobPlace) -> dict[str, Value]:
    """Values that the book keeps of a run.

    Raises:
        CallerError: They are damaged, or of another version.
    """
    try:
        return decode_values(data, place)
    except ValueError as error:
        raise CallerError(
            f"what is kept of run {record.run} is damaged, or of another version of Sensorium: {error}; start a new run"
        ) from error


def seconds_of(record: RunRecord) -> float | None:
    """How long the last attempt of a run took; None of a run that has not ended, or where that cannot be read."""
    with suppress(ValueError):
        return None if record.end is None else msgspec.json.decode(record.end.report, type=_Seconds).seconds
    return None
