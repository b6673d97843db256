"""One batch through a tool's `run`: what it yields is checked and passed on, call by call."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, cast, get_args

from sensorium.errors import OperatorError
from sensorium.parts import Blob, Part, Value
from sensorium.worker import Blame, Failed, Item, Progress, Refused
from sensorium.worker.folder import PACKAGE_PREFIX, Tool
from sensorium.worker.frames import FailureKind
from sensorium.worker.values import OutputPorts, WrongOutput

__all__ = ["Failure", "Listener", "describe", "run_batch"]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a call failed."""

    kind: FailureKind
    why: str
    can_retry: bool = False
    cause: BaseException | None = None
    """What the tool raised, where it raised."""


class Listener(Protocol):
    """Who hears what becomes of the calls of a batch.

    Called on the thread that runs the tool. Calls are numbered by their place in the batch.
    """

    def is_cancelled(self, call: int) -> bool:
        """Whether the call's result is no longer wanted."""
        ...

    def keep(self, data: bytes, media_type: str) -> Blob:
        """A reference to bytes of the item, or of the outputs, that are told of next."""
        ...

    def progress(self, call: int, share: float, note: str) -> None: ...

    def item(self, call: int, port: str, part: Part) -> None: ...

    def finished(self, call: int, outputs: dict[str, Value], seconds: float) -> None: ...

    def failed(self, call: int, failure: Failure) -> None: ...


def run_batch(
    tool: Tool, outputs: OutputPorts, loads: Sequence[Callable[[], dict[str, object]]], listener: Listener
) -> None:
    """Runs one batch; every call of it is told as finished or failed once, unless all were cancelled.

    Args:
        tool: The tool, set up.
        outputs: What its results are checked against.
        loads: For each call, what reads its native inputs. A call whose inputs cannot be read fails alone.
        listener: Who is told.
    """
    batch = _Batch(outputs, listener)
    native = batch.load(loads)
    if not native:
        return
    try:
        results = batch.results(tool, native)
        if results is not None:
            batch.settle(results)
    except Refused as refused:
        batch.fail_all(Failure(_blame(refused.kind), refused.why))
    except WrongOutput as wrong:
        batch.fail_all(Failure("tool", f"run gave a wrong answer: {wrong}"))
    except OperatorError as error:
        batch.fail_all(Failure("operator", str(error)))
    except BaseException as error:
        batch.fail_all(_raised(error, len(native)))


def describe(error: BaseException) -> str:
    """The error in one line, with the line of the tool's own file that it came through last."""
    if isinstance(error, SystemExit):
        return f"called sys.exit({error.code!r}){_place(error)}"
    text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in " ".join(_words(error).split())[:1000])
    return f"raised {type(error).__name__}{': ' if text else ''}{text}{_place(error)}"


def _words(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as worse:  # an error of the tool's own may not know how to say itself
        return f"(its text cannot be had: {type(worse).__name__})"


def _raised(error: BaseException, num_calls: int) -> Failure:
    among = f" in a batch of {num_calls}" if num_calls > 1 else ""
    return Failure("tool", f"run {describe(error)}{among}", can_retry=num_calls > 1, cause=error)


def _place(error: BaseException) -> str:
    place, step = "", error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        if str(step.tb_frame.f_globals.get("__name__", "")).startswith(PACKAGE_PREFIX):
            place = f" ({code.co_filename.rpartition('/')[2]}, line {step.tb_lineno})"
        step = step.tb_next
    return place


def _blame(kind: object) -> FailureKind:
    return cast("FailureKind", kind) if kind in get_args(Blame) else "tool"


class _Batch:
    """A batch on its way.

    `_numbers` maps the tool's index of a call to the listener's: a call whose inputs cannot be read never reaches the
    tool.
    """

    def __init__(self, outputs: OutputPorts, listener: Listener) -> None:
        self._outputs = outputs
        self._listener = listener
        self._numbers: list[int] = []
        self._failed: set[int] = set()
        self._told: set[int] = set()
        self._seconds = 0.0

    def load(self, loads: Sequence[Callable[[], dict[str, object]]]) -> list[dict[str, object]]:
        native: list[dict[str, object]] = []
        for number, load in enumerate(loads):
            try:
                native.append(load())
                self._numbers.append(number)
            except OperatorError as error:
                self._tell_failed(number, Failure("operator", str(error)))
            except Exception as error:
                self._tell_failed(number, Failure("caller", f"an input cannot be read: {error}"))
        return native

    def results(self, tool: Tool, native: list[dict[str, object]]) -> list[object] | None:
        """What `run` gave for each call; None when all calls were cancelled on the way."""
        began = time.perf_counter()
        result = tool.run(native)
        self._seconds += time.perf_counter() - began
        if isinstance(result, Iterator):
            stream = cast("Iterator[object]", result)
            return self._drain(stream)
        return self._checked_list(result)

    def settle(self, results: list[object]) -> None:
        share_s = self._seconds / len(results)
        for call, result in enumerate(results):
            number = self._numbers[call]
            if call in self._failed or self._listener.is_cancelled(number):
                continue
            try:
                if result is None:
                    raise WrongOutput("the result of a call is None, and no Failed was yielded for it")
                packed = self._outputs.pack(result, self._listener.keep)
            except WrongOutput as wrong:
                self._tell_failed(number, Failure("tool", f"run gave a wrong answer: {wrong}"))
                continue
            self._told.add(number)
            self._listener.finished(number, packed, share_s)

    def fail_all(self, failure: Failure) -> None:
        """Every call of which nothing was told yet fails."""
        for number in self._numbers:
            if number not in self._told:
                self._tell_failed(number, failure)

    def _drain(self, stream: Iterator[object]) -> list[object] | None:
        results: list[object] | None = None
        while True:
            if self._all_cancelled():
                _close(stream)
                return None
            began = time.perf_counter()
            try:
                said = next(stream)
            except StopIteration:
                break
            finally:
                self._seconds += time.perf_counter() - began
            if results is not None:
                raise WrongOutput("run yielded something after the list of results; the list is its last yield")
            if isinstance(said, list):
                results = self._checked_list(cast("list[object]", said))
            else:
                self._hear(said)
        if results is None:
            raise WrongOutput("run ended without a list of results; its last yield is that list")
        return results

    def _all_cancelled(self) -> bool:
        return all(self._listener.is_cancelled(number) for number in self._numbers)

    def _checked_list(self, result: object) -> list[object]:
        wanted = f"a list of {len(self._numbers)} results, one for each call, would be right"
        if not isinstance(result, list):
            raise WrongOutput(f"run gave a value of type {type(result).__name__}; {wanted}")
        results = cast("list[object]", result)
        if len(results) != len(self._numbers):
            raise WrongOutput(f"run gave a list of {len(results)}; {wanted}")
        return results

    def _hear(self, said: object) -> None:
        match said:
            case Progress():
                self._listener.progress(self._number(said.call), _share(said.share), str(said.note))
            case Item():
                number = self._number(said.call)
                part = self._outputs.pack_item(said.port, said.value, self._listener.keep)
                self._listener.item(number, said.port, part)
            case Failed():
                number = self._number(said.call)
                self._failed.add(said.call)
                self._tell_failed(number, Failure(_blame(said.kind), str(said.why), bool(said.can_retry)))
            case _:
                raise WrongOutput(
                    f"run yielded a value of type {type(said).__name__}; "
                    "Progress, Item, Failed, and last the list of results would be right"
                )

    def _number(self, call: object) -> int:
        if not isinstance(call, int) or isinstance(call, bool) or not 0 <= call < len(self._numbers):
            raise WrongOutput(f"run spoke of call {call!r:.40}; 0 to {len(self._numbers) - 1} would be right")
        return self._numbers[call]

    def _tell_failed(self, number: int, failure: Failure) -> None:
        self._told.add(number)
        self._listener.failed(number, failure)


def _share(share: object) -> float:
    if not isinstance(share, int | float) or not 0 <= share <= 1:
        raise WrongOutput(f"Progress has the share {share!r:.40}; 0 to 1 would be right")
    return float(share)


def _close(stream: Iterator[object]) -> None:
    close = getattr(stream, "close", None)
    if close is not None:
        close()
