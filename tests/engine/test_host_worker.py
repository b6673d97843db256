"""What tools in processes of their own do beyond what every host does."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import sys
import sysconfig
import textwrap
import venv
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest

from sensorium.errors import DeadlineError, OperatorError, ToolError
from sensorium.graph.edge import carry_out_here
from sensorium.host import InlineHost, WorkerHost
from sensorium.host.contract import Binding, Progress
from sensorium.host.process import end_lost, place_of
from sensorium.parts import Text
from tests.engine.host_workshop import Workshop, events, say

MakeHost = Callable[[], WorkerHost]


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


@pytest.fixture
async def make_host(workshop: Workshop) -> AsyncGenerator[MakeHost]:
    """Hosts of one home, as several commands have them; their workers end with the test."""
    async with AsyncExitStack() as stack:

        def make() -> WorkerHost:
            host = WorkerHost(workshop.home, workshop.store, grace_s=0.2)
            stack.push_async_callback(host.close)
            return host

        yield make
        await make().stop()


@pytest.fixture
def host(make_host: MakeHost) -> WorkerHost:
    return make_host()


DOES_AS_TOLD = """
    import os, signal, sys, threading, re, time
    from sensorium.worker import Progress

    class Sample:
        def setup(self, checkpoints, device):
            self.go = threading.Event()
        def run(self, batch):
            found = {"self": self}
            exec("def run(batch):\\n  " + batch[0]["text"], globals() | found, found)
            said = found["run"](batch)
            return [{"text": str(said)}] if not hasattr(said, "send") else said
        def close(self): print("closed")
"""
PID = "return os.getpid()"
HANG = "threading.Event().wait()"


async def pid_of(host: WorkerHost, binding: Binding) -> int:
    return int(await say(host, binding, PID))


def has_ended(pid: int, wait_s: float = 10) -> bool:
    """Whether a process ends soon."""
    try:
        psutil.Process(pid).wait(wait_s)
    except psutil.NoSuchProcess:
        return True
    except psutil.TimeoutExpired:
        return False
    return True


async def ended(pid: int) -> bool:
    return await asyncio.to_thread(has_ended, pid)


async def test_a_worker_serves_one_command_after_another(make_host: MakeHost, workshop: Workshop) -> None:
    binding = workshop.tool(DOES_AS_TOLD, keep_warm_s=60.0)
    first, second = make_host(), make_host()
    pid = await pid_of(first, binding)
    await first.close()
    assert await pid_of(second, binding) == pid != os.getpid()


async def test_commands_that_start_at_once_share_one_process(make_host: MakeHost, workshop: Workshop) -> None:
    binding = workshop.tool(DOES_AS_TOLD)
    pids = await asyncio.gather(*(pid_of(make_host(), binding) for _ in range(4)))
    assert len(set(pids)) == 1


async def test_nothing_is_left_of_a_worker_that_is_not_kept_warm(host: WorkerHost, workshop: Workshop) -> None:
    pid = await pid_of(host, workshop.tool(DOES_AS_TOLD))
    await host.close()
    assert not psutil.pid_exists(pid)


async def test_an_idle_worker_ends_when_it_was_kept_warm_long_enough(host: WorkerHost, workshop: Workshop) -> None:
    pid = await pid_of(host, workshop.tool(DOES_AS_TOLD, keep_warm_s=0.05))
    await host.close()
    assert await ended(pid)


async def test_a_connected_host_keeps_a_worker_that_is_not_kept_warm(make_host: MakeHost, workshop: Workshop) -> None:
    binding = workshop.tool(DOES_AS_TOLD)
    first, second = make_host(), make_host()
    pid = await pid_of(first, binding)
    assert await pid_of(second, binding) == pid
    await first.close()
    assert await pid_of(second, binding) == pid


async def test_a_host_that_is_closed_from_another_event_loop_leaves_warm_workers(
    make_host: MakeHost, workshop: Workshop
) -> None:
    binding = workshop.tool(DOES_AS_TOLD, keep_warm_s=60.0)
    first, second = make_host(), make_host()
    pid = await asyncio.to_thread(carry_out_here, pid_of(first, binding))
    assert await pid_of(second, binding) == pid
    await first.close()
    await asyncio.to_thread(carry_out_here, asyncio.sleep(0))  # the other loop has heard of it
    assert await pid_of(second, binding) == pid


async def test_a_worker_that_answers_is_not_taken_for_lost(host: WorkerHost, workshop: Workshop) -> None:
    binding = workshop.tool(DOES_AS_TOLD)
    pid = await pid_of(host, binding)
    await asyncio.to_thread(end_lost, pid, place_of(workshop.home, binding))
    await asyncio.to_thread(end_lost, os.getpid(), workshop.home)  # a number that another process has by now
    assert await pid_of(host, binding) == pid


async def test_batches_are_gathered_across_commands(make_host: MakeHost, workshop: Workshop) -> None:
    code = """
        class Sample:
            def setup(self, checkpoints, device): ...
            def run(self, batch): return [{"text": str(len(batch))} for _ in batch]
            def close(self): ...
    """
    binding = workshop.tool(code, declared={"batch": {"max": 3, "wait_ms": 10_000}})
    assert await asyncio.gather(*(say(make_host(), binding, "x") for _ in range(3))) == ["3"] * 3


@pytest.mark.parametrize(
    ("setup", "ending"),
    [("os._exit(3)", "exit code 3"), ("os.kill(os.getpid(), signal.SIGKILL)", "its process was ended by SIGKILL")],
)
async def test_a_process_that_ends_in_setup_is_told_with_its_last_words(
    setup: str, ending: str, host: WorkerHost, workshop: Workshop
) -> None:
    binding = workshop.tool(DOES_AS_TOLD.replace("self.go = threading.Event()", f"print('so far so good'); {setup}"))
    with pytest.raises(ToolError, match=ending) as caught:
        await host.load(binding)
    assert caught.value.can_retry
    lines = str(caught.value)
    assert "in setup; the last lines of its log, $SENSORIUM_HOME/workers/sample-" in lines
    assert lines.endswith("  so far so good")
    assert (workshop.home / lines.split("$SENSORIUM_HOME/")[1].split(":")[0]).is_file()


async def test_a_process_that_ends_in_run_fails_the_call_and_the_next_has_another(
    host: WorkerHost, workshop: Workshop
) -> None:
    binding = workshop.tool(DOES_AS_TOLD)
    pid = await pid_of(host, binding)
    with pytest.raises(ToolError, match="its process ended with exit code 7 in run") as caught:
        await say(host, binding, "print('last words'); os._exit(7)")
    assert caught.value.can_retry
    assert str(caught.value).endswith("  last words")
    assert await pid_of(host, binding) != pid


FORK = "os.fork() or [signal.pause(), os._exit(0)]"
"""The child waits for ever."""


@pytest.mark.parametrize("where", ["setup", "run"])
async def test_a_process_that_ends_is_noticed_although_a_child_of_it_lives_on(
    where: str, host: WorkerHost, workshop: Workshop
) -> None:
    dies = f"print(child := {FORK}); os._exit(3)"
    code = DOES_AS_TOLD.replace("self.go = threading.Event()", dies if where == "setup" else "...")
    with pytest.raises(ToolError, match=f"exit code 3 in {where}") as caught:
        await say(host, workshop.tool(code), dies)
    assert await ended(int(str(caught.value).split()[-1]))


async def test_processes_that_a_tool_started_end_with_its_own(host: WorkerHost, workshop: Workshop) -> None:
    binding = workshop.tool(DOES_AS_TOLD)
    forked = int(await say(host, binding, f"return {FORK}"))
    started = int(await say(host, binding, "import subprocess; return subprocess.Popen(['sleep', '600']).pid"))
    assert psutil.pid_exists(forked)
    await host.close()
    assert await ended(forked)
    assert await ended(started)


async def test_a_tool_that_closes_its_workers_socket_loses_the_worker(host: WorkerHost, workshop: Workshop) -> None:
    binding = workshop.tool(DOES_AS_TOLD, keep_warm_s=60.0)
    pid = await pid_of(host, binding)
    with pytest.raises(ToolError, match="its process closed its socket in run"):
        await say(host, binding, "os.closerange(3, 256); threading.Event().wait()")
    assert await ended(pid)
    assert await pid_of(host, binding) != pid


async def test_a_worker_that_nobody_waits_for_any_more_ends_in_setup(host: WorkerHost, workshop: Workshop) -> None:
    door = workshop.home.parent / "door"
    os.mkfifo(door)
    code = DOES_AS_TOLD.replace(
        "self.go = threading.Event()", f"print(os.getpid(), file=open({str(door)!r}, 'w')); threading.Event().wait()"
    )
    loading = asyncio.ensure_future(host.load(workshop.tool(code, keep_warm_s=60.0)))
    pid = int(await asyncio.to_thread(door.read_text))
    loading.cancel()
    await host.close()
    assert not psutil.pid_exists(pid)


async def test_after_a_kill_the_next_call_has_another_process(host: WorkerHost, workshop: Workshop) -> None:
    binding = workshop.tool(DOES_AS_TOLD)
    pid = await pid_of(host, binding)
    os.kill(pid, signal.SIGKILL)
    assert await pid_of(host, binding) != pid


async def test_a_worker_that_was_killed_between_two_commands_is_replaced(
    make_host: MakeHost, workshop: Workshop
) -> None:
    binding = workshop.tool(DOES_AS_TOLD, keep_warm_s=60.0)
    first = make_host()
    pid = await pid_of(first, binding)
    await first.close()
    os.kill(pid, signal.SIGKILL)
    assert await pid_of(make_host(), binding) != pid


async def test_a_worker_whose_host_died_before_it_wrote_which_process_it_is_is_replaced(
    make_host: MakeHost, workshop: Workshop
) -> None:
    binding = workshop.tool(DOES_AS_TOLD, keep_warm_s=60.0)
    first, second = make_host(), make_host()
    pid = await pid_of(first, binding)
    await first.close()
    (place_of(workshop.home, binding) / "state.json").unlink()
    assert await pid_of(second, binding) != pid
    os.kill(pid, signal.SIGKILL)
    assert await ended(pid)


async def test_a_hanging_call_ends_the_process_and_calls_that_waited_are_made_in_another(
    host: WorkerHost, workshop: Workshop
) -> None:
    binding = workshop.tool(DOES_AS_TOLD)
    pid = await pid_of(host, binding)
    hanging, waiting = await asyncio.gather(
        say(host, binding, HANG, deadline_s=0.1), say(host, binding, PID), return_exceptions=True
    )
    assert isinstance(hanging, DeadlineError)
    assert isinstance(waiting, str)
    assert int(waiting) != pid
    assert await ended(pid)


async def test_where_a_hanging_tool_was_stands_in_its_log(host: WorkerHost, workshop: Workshop) -> None:
    binding = workshop.tool(DOES_AS_TOLD)
    pid = await pid_of(host, binding)
    with pytest.raises(DeadlineError):
        await say(host, binding, HANG, deadline_s=0.1)
    assert await ended(pid)
    (log,) = workshop.home.glob("workers/*/log")
    assert "worker.py" in log.read_text()


async def test_a_tool_that_never_lets_go_of_the_interpreter_is_ended_too(host: WorkerHost, workshop: Workshop) -> None:
    binding = workshop.tool(DOES_AS_TOLD)
    pid = await pid_of(host, binding)
    with pytest.raises(DeadlineError):
        await say(host, binding, "re.match('(a|a)+$', 'a' * 64 + 'b')", deadline_s=0.2)
    assert await ended(pid)


async def test_setup_that_hangs_ends_the_process(host: WorkerHost, workshop: Workshop) -> None:
    code = DOES_AS_TOLD.replace("self.go = threading.Event()", "print(os.getpid()); threading.Event().wait()")
    binding = workshop.tool(code, setup_s=3)
    with pytest.raises(ToolError, match="setup took longer than 3 s") as caught:
        await host.load(binding)
    (log,) = workshop.home.glob("workers/*/log")
    assert await ended(int(log.read_text().split()[0]))
    assert "worker.py" in str(caught.value)


async def test_a_deadline_counts_while_the_tool_is_loaded(host: WorkerHost, workshop: Workshop) -> None:
    code = DOES_AS_TOLD.replace("self.go = threading.Event()", "threading.Event().wait()")
    binding = workshop.tool(code)
    with pytest.raises(DeadlineError, match=r"tool sample: was not loaded after 0.2 s"):
        await say(host, binding, PID, deadline_s=0.2)


async def test_a_worker_of_an_edited_tool_ends_once_it_is_idle(make_host: MakeHost, workshop: Workshop) -> None:
    old = workshop.tool(DOES_AS_TOLD, keep_warm_s=60.0)
    pid = await pid_of(make_host(), old)
    new = workshop.tool(DOES_AS_TOLD + "\n    # edited", keep_warm_s=60.0)
    assert await pid_of(make_host(), new) != pid
    assert await ended(pid)


async def test_a_worker_with_another_checkpoint_or_device_is_another(
    host: WorkerHost, workshop: Workshop, tmp_path: Path
) -> None:
    bindings = [
        workshop.tool(DOES_AS_TOLD),
        workshop.tool(DOES_AS_TOLD, checkpoints={"a": tmp_path}, checkpoint_digests={"a": "1"}),
        workshop.tool(DOES_AS_TOLD, checkpoints={"a": tmp_path}, checkpoint_digests={"a": "2"}),
        workshop.tool(DOES_AS_TOLD, device="cuda:0"),
        workshop.tool(DOES_AS_TOLD, device="cuda:1"),
    ]
    assert len({await pid_of(host, binding) for binding in bindings}) == len(bindings)


async def test_a_checkpoint_removed_under_a_warm_worker_is_noticed_by_the_next_command(
    make_host: MakeHost, workshop: Workshop, tmp_path: Path
) -> None:
    weights = tmp_path / "weights"
    weights.mkdir()
    binding = workshop.tool(DOES_AS_TOLD, checkpoints={"a": weights}, checkpoint_digests={"a": "1"}, keep_warm_s=60.0)
    first = make_host()
    pid = await pid_of(first, binding)
    weights.rmdir()
    assert await pid_of(first, binding) == pid
    with pytest.raises(OperatorError, match="the checkpoint for a is missing"):
        await pid_of(make_host(), binding)


async def test_stop_ends_the_workers_of_every_command(make_host: MakeHost, workshop: Workshop) -> None:
    one = workshop.tool(DOES_AS_TOLD, name="one", keep_warm_s=60.0)
    two = workshop.tool(DOES_AS_TOLD, name="two", keep_warm_s=60.0)
    first, other = make_host(), make_host()
    pids = {"one": await pid_of(first, one), "two": await pid_of(first, two)}
    assert {state.tool: state.pid for state in await other.stats()} == pids
    assert [state.pid for state in await other.stop(one.identity)] == [pids["one"]]
    assert await ended(pids["one"])
    assert [state.tool for state in await other.stats()] == ["two"]
    assert [state.tool for state in await other.stop()] == ["two"]
    assert await ended(pids["two"])
    assert await other.stats() == []


async def test_stop_ends_a_worker_that_hangs(make_host: MakeHost, workshop: Workshop) -> None:
    binding = workshop.tool(DOES_AS_TOLD)
    first = make_host()
    stream = first.call(binding, {"text": Text("yield Progress(0, 0); " + HANG)}, key="key")
    assert await anext(stream) == Progress(0.0)
    (state,) = await make_host().stop()
    assert state.pid is not None
    assert await ended(state.pid)
    with pytest.raises(ToolError, match="in run"):
        await anext(stream)


async def test_the_tool_closes_when_its_process_is_told_to_end(make_host: MakeHost, workshop: Workshop) -> None:
    pid = await pid_of(make_host(), workshop.tool(DOES_AS_TOLD, keep_warm_s=60.0))
    os.kill(pid, signal.SIGTERM)
    assert await ended(pid)
    (log,) = workshop.home.glob("workers/*/log")
    assert log.read_text() == "closed\n"


async def test_what_a_tool_prints_is_in_its_log_alone(host: WorkerHost, workshop: Workshop) -> None:
    binding = workshop.tool(DOES_AS_TOLD)
    await say(host, binding, "print('hello'); os.write(2, b'raw'); os.system('echo shell')")
    (log,) = workshop.home.glob("workers/*/log")
    assert log.read_text() == "hello\nrawshell\n"


async def test_a_home_may_have_a_path_longer_than_a_socket_may(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path / ("long" * 30) / ("longer" * 20))
    host = WorkerHost(workshop.home, workshop.store)
    assert await say(host, workshop.tool(), "x") == "X"
    await host.close()


async def test_the_workers_directories_are_for_their_owner_alone(host: WorkerHost, workshop: Workshop) -> None:
    await host.load(workshop.tool())
    for directory in (workshop.home / "workers", *(workshop.home / "workers").iterdir()):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700


async def test_a_process_has_sane_settings_and_none_of_our_files(
    host: WorkerHost, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("PYTHONHOME", sys.prefix)
    binding = workshop.tool(DOES_AS_TOLD, settings={"GREETING": "hello"})
    names = ["OMP_NUM_THREADS", "HF_HUB_OFFLINE", "TOKENIZERS_PARALLELISM", "GREETING", "PYTHONHOME"]
    found = (await say(host, binding, f"return ' '.join(str(os.environ.get(name)) for name in {names})")).split()
    assert found == [str(len(os.sched_getaffinity(0))), "1", "false", "hello", "None"]
    secret = workshop.home / "secret"
    with secret.open("w") as ours:
        os.set_inheritable(ours.fileno(), True)
        other = workshop.tool(DOES_AS_TOLD, name="other")
        assert "secret" not in await say(host, other, "return os.popen(f'ls -l /proc/{os.getpid()}/fd').read()")


async def test_a_command_that_is_killed_leaves_no_process(tmp_path: Path) -> None:
    script = f"""
        import asyncio, os
        from pathlib import Path
        from sensorium.parts import Text
        from sensorium.host import WorkerHost
        from tests.engine.host_workshop import Workshop
        from tests.engine.test_host_worker import DOES_AS_TOLD

        async def main():
            workshop = Workshop(Path({str(tmp_path)!r}))
            host = WorkerHost(workshop.home, workshop.store, grace_s=0.2)
            text = "yield Progress(0, 0, str(os.getpid())); threading.Event().wait()"
            async for event in host.call(workshop.tool(DOES_AS_TOLD), {{"text": Text(text)}}, key="key"):
                print(event.note, flush=True)

        asyncio.run(main())
    """
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", textwrap.dedent(script), stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    assert child.stdout is not None
    pid = int(await child.stdout.readline())
    child.kill()
    await child.wait()
    assert await ended(pid)


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """An interpreter that has numpy, Pillow and msgspec, and nothing else of ours."""
    venv.create(tmp_path / "foreign", symlinks=True)
    (target,) = (tmp_path / "foreign").glob("lib/python*/site-packages")
    installed = Path(sysconfig.get_path("purelib"))
    for pattern in ("numpy", "numpy.libs", "PIL", "pillow.libs", "msgspec"):
        for package in installed.glob(pattern):
            (target / package.name).symlink_to(package)
    return tmp_path / "foreign/bin/python"


async def test_an_interpreter_of_the_tools_own_sees_the_workers_modules_and_no_more(
    host: WorkerHost, workshop: Workshop, foreign: Path
) -> None:
    binding = workshop.tool(DOES_AS_TOLD, python=foreign)
    assert await say(host, binding, "return sys.prefix") == str(foreign.parent.parent)
    where = await say(host, binding, "import sensorium; return sensorium.__file__")
    assert Path(where).is_relative_to(workshop.home / "engine")
    with pytest.raises(ToolError, match="No module named 'pydantic'"):
        await say(host, binding, "import pydantic")
    with pytest.raises(ToolError, match=r"No module named 'sensorium.host'"):
        await say(host, binding, "import sensorium.host")


async def test_an_interpreter_that_lacks_a_module_is_told(host: WorkerHost, workshop: Workshop, tmp_path: Path) -> None:
    venv.create(tmp_path / "bare", symlinks=True)
    binding = workshop.tool(python=tmp_path / "bare/bin/python")
    with pytest.raises(ToolError, match=r"(?s)exit code 1 in setup.*No module named 'msgspec'"):
        await host.load(binding)


async def test_a_missing_interpreter_is_the_operators_error(
    host: WorkerHost, workshop: Workshop, tmp_path: Path
) -> None:
    with pytest.raises(
        OperatorError, match=r"its interpreter .*nowhere is missing; run `sensorium models pull sample`"
    ):
        await host.load(workshop.tool(python=tmp_path / "nowhere"))


@pytest.mark.parametrize("bound", [{"python": Path(sys.executable)}, {"settings": {"A": "B"}}])
async def test_inline_refuses_what_needs_a_process(bound: dict[str, Any], workshop: Workshop) -> None:
    with pytest.raises(OperatorError, match="set host: worker for it in the profile"):
        await InlineHost(workshop.store).load(workshop.tool(**bound))


async def test_an_item_is_there_before_the_tool_goes_on(host: WorkerHost, workshop: Workshop) -> None:
    code = """
        import os
        from sensorium.worker import Item

        class Sample:
            def setup(self, checkpoints, device): ...
            def run(self, batch):
                pipe = batch[0]["text"]
                yield Item(0, "words", "first")
                with open(pipe) as told:
                    yield [{"words": ["first", told.read()]}]
            def close(self): ...
    """
    binding = workshop.tool(code, outputs={"words": "[text]"})
    pipe = workshop.tools / "pipe"
    os.mkfifo(pipe)
    stream = host.call(binding, {"text": Text(str(pipe))}, key="key")
    await anext(stream)
    await asyncio.to_thread(pipe.write_text, "second")
    rest = [event async for event in stream]
    assert "second" in str(rest)


async def test_starting_again_and_again_leaves_no_connection_open(host: WorkerHost, workshop: Workshop) -> None:
    binding = workshop.tool(DOES_AS_TOLD)
    await pid_of(host, binding)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        await host.stats()
        await host.unload(binding)
        await pid_of(host, binding)
    assert len(os.listdir("/proc/self/fd")) <= before + 1
    assert (await events(host, binding, text=Text(PID)))[-1]


WAITS_IN_SETUP = """
    class Sample:
        def setup(self, checkpoints, device): open(checkpoints["gate"] + "/pipe").close()
        def run(self, batch): return [{"text": "ready"} for call in batch]
        def close(self): ...
"""


async def test_a_call_that_waits_for_its_tool_says_what_is_loaded_and_when_it_is(
    workshop: Workshop, tmp_path: Path
) -> None:
    gate = tmp_path / "gate-0123"
    gate.mkdir()
    os.mkfifo(gate / "pipe")
    (gate / "weights").write_bytes(bytes(3_400_000))
    binding = workshop.tool(
        WAITS_IN_SETUP, declared={"checkpoints": {"gate": "gate"}}, checkpoints={"gate": gate}, keep_warm_s=60.0
    )
    host = WorkerHost(workshop.home, workshop.store, tell_load_s=0.0)
    heard: list[Any] = []
    async for event in host.call(binding, {"text": Text("x")}, key="key"):
        if not heard:
            await asyncio.to_thread((gate / "pipe").open("w").close)
        heard.append(event)
    *told, done = heard
    assert told == [Progress(0.0, "loading sample: gate-0123, 3 MB", is_loading=True), Progress(0.0, is_loading=True)]
    assert done.outputs == {"text": Text("ready")}
    again = await events(host, binding, text=Text("x"))
    assert len(again) == 1, "it is loaded"
    await host.stop()
    await host.close()
