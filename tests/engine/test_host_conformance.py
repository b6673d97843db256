"""What every host does, whichever way it runs a tool.

| what happens                             | inline                              | worker                              |
|------------------------------------------|-------------------------------------|-------------------------------------|
| `run` or `setup` hangs                   | the caller gets its error in time;  | the same, and the process is ended: |
|                                          | the thread hangs on                 | the next call has a new one         |
| the tool ends its process                | this process ends                   | ToolError, and a new process        |
| the tool prints                          | where this process prints           | into the worker's log               |
| an interpreter or environment of its own | OperatorError                       | as bound                            |
| the host closes                          | the tool closes                     | it stays warm as bound              |
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from sensorium import media
from sensorium.errors import CallerError, DeadlineError, LanguageError, OperatorError, ToolError
from sensorium.host import InlineHost, WorkerHost
from sensorium.host.contract import Done, Host, HostEvent, Item, Progress
from sensorium.parts import (
    Audio,
    Boxes,
    Data,
    Flag,
    Image,
    Latent,
    Masks,
    Number,
    Points,
    Segment,
    Segments,
    Text,
    Value,
)
from sensorium.spec.ports import KINDS
from tests.engine.host_workshop import Workshop, events, outputs, say


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


@pytest.fixture(params=["inline", "worker"])
async def host(request: pytest.FixtureRequest, workshop: Workshop) -> AsyncGenerator[Host]:
    made: Host = (
        InlineHost(workshop.store, queue_size=4)
        if request.param == "inline"
        else WorkerHost(workshop.home, workshop.store, grace_s=0.2, queue_size=4)
    )
    yield made
    await made.close()


def tool_class(run: str, setup: str = "...") -> str:
    """A `worker.py` whose class has these bodies."""
    return f"""
import os, sys, threading
import numpy as np
from PIL import Image
from sensorium.worker import Failed, Item, Progress, Refused

class Sample:
    def setup(self, checkpoints, device):
        {setup}

    def run(self, batch):
        {run}

    def close(self): ...
"""


TYPES = {kind: "latent(sample.space)" if kind == "latent" else kind for kind in KINDS}


def sample(kind: str, workshop: Workshop) -> Value:
    """One part of each kind."""
    put = workshop.store.put
    picture = PillowImage.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3))
    samples = np.linspace(-1, 1, 160, dtype=np.float32)
    masks = np.eye(3, dtype=bool)[None]
    tensor = np.arange(6, dtype=np.float16).reshape(2, 3)
    values: dict[str, Value] = {
        "text": Text("grüß dich\n"),
        "number": Number(1.5),
        "flag": Flag(True),
        "data": Data({"b": [1, None, {"deep": "ja"}], "a": 2.5}),
        "boxes": Boxes(((0.0, 1.0, 2.5, 3.0),)),
        "points": Points(((0.5, 1.0), (2.0, 3.0))),
        "segments": Segments((Segment(0.0, 1.25, "hello"), Segment(1.25, 2.0, "you"))),
        "image": Image(put(media.encode_png(picture), "image/png"), 4, 4),
        "audio": Audio(put(media.encode_wav(samples, 16000), "audio/wav"), 0.01, 16000),
        "masks": Masks(put(media.encode_masks(masks), "application/x-npy"), 1, 3, 3),
        "latent": Latent(
            "sample.space",
            "another tool",
            (2, 3),
            "float16",
            put(media.encode_tensor(tensor, "float16"), "application/octet-stream"),
        ),
    }
    return values[kind]


async def test_a_value_of_every_kind_goes_in_and_comes_out_the_same(host: Host, workshop: Workshop) -> None:
    ports = {f"a_{kind}": f"{declared}?" for kind, declared in TYPES.items()}
    binding = workshop.tool(tool_class("return [dict(call) for call in batch]"), inputs=ports, outputs=ports)
    for kind in KINDS:
        value = sample(kind, workshop)
        answer = (await outputs(host, binding, **{f"a_{kind}": value}))[f"a_{kind}"]
        if isinstance(value, Latent):
            assert isinstance(answer, Latent)
            assert (answer.space, answer.weights) == ("sample.space", binding.identity)
            assert np.array_equal(answer.load(), value.load())
        else:
            assert answer == value, kind


async def test_a_list_keeps_its_order_and_may_lack_elements(host: Host, workshop: Workshop) -> None:
    code = tool_class("return [{'value': [v for v in call['value'] if v is not None]} for call in batch]")
    binding = workshop.tool(code, inputs={"value": "[image]"}, outputs={"value": "[image]"})
    part = sample("image", workshop)
    assert not isinstance(part, tuple)
    assert (await outputs(host, binding, value=(part, None, part)))["value"] == (part, part)


async def test_an_optional_input_that_is_missing_is_none_and_an_optional_output_may_be(
    host: Host, workshop: Workshop
) -> None:
    code = tool_class("return [{'text': repr(call['times'])} for call in batch]")
    binding = workshop.tool(code, inputs={"times": "number?"}, outputs={"text": "text", "extra": "data?"})
    assert await outputs(host, binding) == {"text": Text("None"), "extra": None}


async def test_a_latent_carries_the_text_of_its_twin(host: Host, workshop: Workshop) -> None:
    code = tool_class("return [{'patches': np.ones((2, 2), np.float32), 'said': 'a cat'} for call in batch]")
    declared = {"patches": {"type": "latent(sample.patches)", "twin": "said"}, "said": "text"}
    answer = (await outputs(host, workshop.tool(code, outputs=declared), text=Text("")))["patches"]
    assert isinstance(answer, Latent)
    assert (answer.twin, answer.shape, answer.dtype) == ("a cat", (2, 2), "float32")


async def test_calls_made_at_once_go_to_run_in_batches(host: Host, workshop: Workshop) -> None:
    code = tool_class("return [{'text': str(len(batch))} for call in batch]")
    binding = workshop.tool(code, declared={"batch": {"max": 4, "wait_ms": 10_000}})
    assert await asyncio.gather(*(say(host, binding, "x") for _ in range(8))) == ["4"] * 8


async def test_a_call_goes_alone_once_it_has_waited_for_others(host: Host, workshop: Workshop) -> None:
    code = tool_class("return [{'text': str(len(batch))} for call in batch]")
    binding = workshop.tool(code, declared={"batch": {"max": 4, "wait_ms": 1}})
    assert await say(host, binding, "x") == "1"


async def test_more_calls_than_the_queue_holds_wait_for_their_turn(host: Host, workshop: Workshop) -> None:
    binding = workshop.tool()
    assert await asyncio.gather(*(say(host, binding, f"n{at}") for at in range(50))) == [f"N{at}" for at in range(50)]


async def test_progress_and_items_come_before_the_result(host: Host, workshop: Workshop) -> None:
    code = tool_class("""
        for at, word in enumerate(batch[0]["text"].split()):
            yield Progress(0, at / 2, word)
            yield Item(0, "words", word)
        yield [{"words": batch[0]["text"].split()}]
    """)
    said = await events(host, workshop.tool(code, outputs={"words": "[text]"}), text=Text("one two"))
    assert said[:-1] == [
        Progress(0.0, "one"),
        Item("words", Text("one")),
        Progress(0.5, "two"),
        Item("words", Text("two")),
    ]
    assert isinstance(said[-1], Done)
    assert said[-1].outputs == {"words": (Text("one"), Text("two"))}
    assert said[-1].seconds >= 0


async def test_one_call_of_a_batch_fails_and_the_others_go_on(host: Host, workshop: Workshop) -> None:
    code = tool_class("""
        for at, call in enumerate(batch):
            if call["text"] == "bad":
                yield Failed(at, "no use", kind="caller", can_retry=True)
        yield [None if call["text"] == "bad" else {"text": "fine"} for call in batch]
    """)
    binding = workshop.tool(code, declared={"batch": {"max": 3, "wait_ms": 10_000}})
    good, bad, fine = await asyncio.gather(
        *(say(host, binding, text) for text in ("good", "bad", "good")), return_exceptions=True
    )
    assert (good, fine) == ("fine", "fine")
    assert isinstance(bad, CallerError)
    assert str(bad) == "tool sample: no use"
    assert bad.can_retry


async def test_an_input_that_cannot_be_read_fails_alone(host: Host, workshop: Workshop) -> None:
    code = tool_class("return [{'text': str(call['image'].size)} for call in batch]")
    binding = workshop.tool(code, inputs={"image": "image"}, declared={"batch": {"max": 2, "wait_ms": 10_000}})
    good = sample("image", workshop)
    bad = Image(workshop.store.put(b"no picture", "image/png"), 4, 4)
    right, wrong = await asyncio.gather(
        outputs(host, binding, image=good), outputs(host, binding, image=bad), return_exceptions=True
    )
    assert right == {"text": Text("(4, 4)")}
    assert isinstance(wrong, CallerError)
    assert "an input cannot be read" in str(wrong)


async def test_refused_is_the_callers_error(host: Host, workshop: Workshop) -> None:
    binding = workshop.tool(tool_class("raise Refused('no sound in it; give some')"))
    with pytest.raises(CallerError, match="tool sample: no sound in it; give some"):
        await say(host, binding, "x")


async def test_a_language_that_the_tool_does_not_know_is_named_with_those_it_knows(
    host: Host, workshop: Workshop
) -> None:
    binding = workshop.tool(
        tool_class("raise Refused('this is French', 'language')"), declared={"languages": ["en", "de"]}
    )
    with pytest.raises(LanguageError, match="tool sample: this is French; it knows en, de"):
        await say(host, binding, "x")


async def leave(stream: AsyncIterator[HostEvent]) -> None:
    """Stops listening to a call."""
    close: Callable[[], Awaitable[None]] = stream.aclose  # type: ignore[attr-defined]  # a host's calls are generators
    await close()


DOES_AS_TOLD = tool_class("""
        found = {}
        exec("def run(batch):\\n  " + batch[0]["text"], globals(), found)
        return found["run"](batch)
""")
"""A tool whose input is the body of its `run`."""


@pytest.mark.parametrize(
    "statement", ["raise ValueError('broken')", "yield Progress(0, 0.5); raise ValueError('broken')"]
)
async def test_what_a_tool_raises_is_told_with_its_line(statement: str, host: Host, workshop: Workshop) -> None:
    with pytest.raises(ToolError, match=r"tool sample: run raised ValueError: broken \(worker.py, line 12\)") as caught:
        await say(host, workshop.tool(tool_class(statement)), "x")
    assert not caught.value.can_retry


async def test_a_tool_that_fails_goes_on(host: Host, workshop: Workshop) -> None:
    binding = workshop.tool(DOES_AS_TOLD)
    for statement, message in (("sys.exit(3)", r"run called sys.exit\(3\)"), ("raise KeyError('x')", "KeyError: 'x'")):
        with pytest.raises(ToolError, match=message):
            await say(host, binding, statement)
    assert await say(host, binding, "return [{'text': 'fine'}]") == "fine"


async def test_an_exception_fails_the_whole_batch_and_may_pass_in_another(host: Host, workshop: Workshop) -> None:
    binding = workshop.tool(tool_class("raise ValueError('x')"), declared={"batch": {"max": 2, "wait_ms": 10_000}})
    for error in await asyncio.gather(say(host, binding, "a"), say(host, binding, "b"), return_exceptions=True):
        assert isinstance(error, ToolError)
        assert error.can_retry
        assert "in a batch of 2" in str(error)


WRONG_OUTPUTS = [
    ("text", "3", "output value is of type int; a str"),
    ("text", "'\\ud800'", "lone surrogate"),
    ("number", "'3'", "output value is of type str; a finite float"),
    ("number", "float('nan')", "output value is nan"),
    ("number", "True", "output value is of type bool"),
    ("flag", "1", "output value is of type int; a bool"),
    ("data", "{'a': [float('inf')]}", r"JSON with inf at data\['a'\]\[0\]"),
    ("data", "{1: 2}", "JSON with a key of type int"),
    ("data", "{'a': np.float32(1)}", "a value of type numpy.float32"),
    ("data", "{'a': 2**70}", "JSON with 1180591620717411303424"),
    ("image", "np.zeros((4, 4, 3), np.uint8)", r"a uint8 array \[4, 4, 3\]; a PIL.Image"),
    ("image", "Image.new('P', (4, 4))", "a picture in mode P"),
    ("image", "Image.new('RGB', (0, 4))", "0 x 4 pixels"),
    ("audio", "np.zeros(4, np.float32)", r"a float32 array \[4\]; \(samples, rate\)"),
    ("audio", "(np.zeros(4), 16000)", r"a float64 array \[4\]"),
    ("audio", "(np.zeros((4, 2), np.float32), 16000)", r"a float32 array \[4, 2\]"),
    ("audio", "(np.full(4, 1.5, np.float32), 16000)", "sound that reaches 1.5"),
    ("audio", "(np.zeros(4, np.float32), 0)", "sound with the rate 0"),
    ("audio", "(np.zeros(0, np.float32), 16000)", "sound without a sample"),
    ("audio", "(np.full(4, np.nan, np.float32), 16000)", "holds NaN or infinity"),
    ("masks", "np.zeros((4, 4), bool)", r"a bool array \[4, 4\]; a bool array \[n, height, width\]"),
    ("masks", "np.zeros((1, 4, 4), np.uint8)", "a uint8 array"),
    ("masks", "np.zeros((1, 0, 4), bool)", r"\[1, 0, 4\]"),
    ("masks", "np.broadcast_to(np.zeros(1, bool), (600, 1024, 1024))", "629,145,600 bytes where at most"),
    ("boxes", "np.zeros((2, 5), np.float32)", r"a float32 array \[2, 5\]; a finite float32 array \[n, 4\]"),
    ("boxes", "np.array([[5, 0, 1, 1]], np.float32)", r"boxes with \[5.0, 0.0, 1.0, 1.0\]"),
    ("boxes", "[[0, 0, 1, 1]]", "of type list"),
    ("points", "np.full((1, 2), np.inf, np.float32)", "holds NaN or infinity"),
    ("segments", "[(0, 1)]", "element 0 is of type tuple"),
    ("segments", "[(1, 0, 'x')]", "ends at 0 s, before it starts at 1 s"),
    ("segments", "[(0, 1, 2)]", "text of type int"),
    (
        "latent",
        "np.zeros((2, 2))",
        r"a float64 array \[2, 2\]; a finite float32 or float16 array, or one of int32 or uint8",
    ),
    ("latent", "np.zeros((0, 2), np.float32)", r"\[0, 2\]"),
    ("latent", "np.full((2,), np.nan, np.float16)", "holds NaN or infinity"),
    ("[text]", "'one'", "output value is of type str; a list"),
    ("[text]", "['one', 2]", r"output value\[1\] is of type int"),
    ("[text]", "['one', None]", r"output value\[1\] is None"),
    ("text", "None", "output value is missing"),
]


@pytest.mark.parametrize(("kind", "value", "message"), WRONG_OUTPUTS)
async def test_a_wrong_output_names_tool_port_what_was_found_and_what_would_be_right(
    kind: str, value: str, message: str, workshop: Workshop
) -> None:
    host = InlineHost(workshop.store)
    declared = "latent(sample.space)" if kind == "latent" else kind
    binding = workshop.tool(tool_class(f"return [{{'value': {value}}} for call in batch]"), outputs={"value": declared})
    with pytest.raises(ToolError, match=message) as caught:
        await outputs(host, binding, text=Text("x"))
    assert str(caught.value).startswith("tool sample: run gave a wrong answer: ")
    await host.close()


WRONG_ANSWERS = [
    ("return [{'txet': 'x'} for call in batch]", "no output 'txet'; did it mean 'text'"),
    ("return [3 for call in batch]", "the result of a call is of type int; a dict"),
    ("return [None for call in batch]", "no Failed was yielded for it"),
    ("return []", "a list of 0; a list of 1 results"),
    ("return 'x'", "a value of type str; a list of 1 results"),
    ("yield [{'text': 'x'}]; yield 3", "after the list of results"),
    ("yield Progress(0, 0.5)", "ended without a list of results"),
    ("yield 3", "yielded a value of type int"),
    ("yield Progress(7, 0.5)", "spoke of call 7; 0 to 0"),
    ("yield Progress(0, 7)", "has the share 7"),
    ("yield Item(0, 'text', 'x')", "an Item goes to a list output alone"),
    ("yield Item(0, 'other', 'x')", "no output 'other'"),
    ("return [{'text': 3} for call in batch]", "output text is of type int"),
]


async def test_a_wrong_answer_fails_the_call_and_the_tool_goes_on(host: Host, workshop: Workshop) -> None:
    binding = workshop.tool(DOES_AS_TOLD)
    for statement, message in WRONG_ANSWERS:
        with pytest.raises(ToolError, match=message):
            await say(host, binding, statement)
    assert await host.health(binding)


async def test_a_large_output_comes_whole(host: Host, workshop: Workshop) -> None:
    code = tool_class("""
        mask = np.zeros((32, 1024, 1024), bool)
        mask[-1, -1, -1] = True
        return [{"masks": mask} for call in batch]
    """)
    answer = (await outputs(host, workshop.tool(code, outputs={"masks": "masks"}), text=Text("x")))["masks"]
    assert isinstance(answer, Masks)
    loaded = answer.load()
    assert loaded.shape == (32, 1024, 1024)
    assert loaded.sum() == 1
    assert loaded[-1, -1, -1]


async def test_a_tool_may_print(host: Host, workshop: Workshop) -> None:
    code = tool_class("print('x' * 100_000); os.write(1, b'raw'); return [{'text': 'done'} for call in batch]")
    assert await say(host, workshop.tool(code), "x") == "done"


async def test_what_is_left_early_is_cancelled_between_two_yields(host: Host, workshop: Workshop) -> None:
    code = tool_class(
        """
        if batch[0]["text"] == "were you closed?":
            yield [{"text": str(self.closed.is_set())}]
            return
        try:
            while True:
                yield Progress(0, 0.5)
        finally:
            self.closed.set()
    """,
        setup="self.closed = threading.Event()",
    )
    binding = workshop.tool(code)
    stream = host.call(binding, {"text": Text("go")}, key="key")
    assert await anext(stream) == Progress(0.5)
    await leave(stream)
    assert await say(host, binding, "were you closed?") == "True"


async def test_a_cancelled_task_cancels_its_call_and_no_other(host: Host, workshop: Workshop) -> None:
    code = tool_class(
        """
        if batch[0]["text"] == "release":
            self.go.set()
        else:
            yield Progress(0, 0.5)
            self.go.wait()
        yield [{"text": "fine"} for call in batch]
    """,
        setup="self.go = threading.Event()",
    )
    binding = workshop.tool(code, declared={"batch": {"max": 2, "wait_ms": 10_000}})
    begun = asyncio.Event()

    async def watch(text: str) -> list[object]:
        seen: list[object] = []
        async for event in host.call(binding, {"text": Text(text)}, key="key"):
            begun.set()
            seen.append(event)
        return seen

    first, second = asyncio.create_task(watch("first")), asyncio.create_task(watch("second"))
    await begun.wait()
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    assert not first.done()
    first.cancel()
    await asyncio.wait([first])


HANGS = tool_class("""
        if batch[0]["text"] == "hang":
            threading.Event().wait()
        return [{"text": "fine"} for call in batch]
""")


async def test_a_deadline_ends_the_wait_for_a_hanging_tool(host: Host, workshop: Workshop) -> None:
    binding = workshop.tool(HANGS)
    await host.load(binding)
    with pytest.raises(DeadlineError, match=r"tool sample: was still running after 0.2 s, its deadline"):
        await say(host, binding, "hang", deadline_s=0.2)


async def test_where_nobody_says_a_call_has_the_time_that_the_tool_is_bound_with(
    host: Host, workshop: Workshop
) -> None:
    binding = workshop.tool(HANGS, call_s=0.2)
    with pytest.raises(DeadlineError, match=r"was still running after 0.2 s"):
        await say(host, binding, "hang")


async def test_setup_that_hangs_is_an_error_in_time(host: Host, workshop: Workshop) -> None:
    binding = workshop.tool(tool_class("return []", setup="threading.Event().wait()"), setup_s=0.3)
    with pytest.raises(ToolError, match=r"tool sample: setup took longer than 0.3 s"):
        await host.load(binding)


@pytest.mark.parametrize(
    ("code", "error", "message"),
    [
        (
            tool_class("return []", setup="raise RuntimeError('no weights')"),
            ToolError,
            "setup raised RuntimeError: no weights",
        ),
        (tool_class("return []", setup="sys.exit(2)"), ToolError, r"setup called sys.exit\(2\)"),
        ("import surely_not_installed", OperatorError, "the module 'surely_not_installed' is not installed"),
        ("class A:\n    ...\nclass B:\n    ...", ToolError, r"2 public classes \(A, B\); one would be right"),
        ("x = 1", ToolError, r"0 public classes \(none\)"),
        ("class A:\n    def run(self, batch): ...", ToolError, "class A of worker.py has no setup, close"),
        ("def broken(:", ToolError, "raised SyntaxError"),
    ],
)
async def test_a_tool_that_cannot_be_loaded_says_why_each_time(
    code: str, error: type[Exception], message: str, host: Host, workshop: Workshop
) -> None:
    binding = workshop.tool(code)
    for _ in range(2):
        with pytest.raises(error, match=message):
            await host.load(binding)
    assert not await host.health(binding)


async def test_setup_gets_the_checkpoints_and_the_device(host: Host, workshop: Workshop, tmp_path: Path) -> None:
    code = tool_class(
        "return [{'text': f'{self.at}'} for call in batch]", setup="self.at = [sorted(checkpoints.items()), device]"
    )
    binding = workshop.tool(code, checkpoints={"model": tmp_path}, checkpoint_digests={"model": "abc"})
    assert await say(host, binding, "x") == f"[[('model', '{tmp_path}')], 'cpu']"


async def test_a_missing_checkpoint_is_the_operators_error(host: Host, workshop: Workshop, tmp_path: Path) -> None:
    binding = workshop.tool(checkpoints={"model": tmp_path / "gone"}, checkpoint_digests={"model": "abc"})
    with pytest.raises(
        OperatorError, match=r"the checkpoint for model is missing from .*gone; run `sensorium models pull`"
    ):
        await host.load(binding)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "input text of tool sample is missing; it takes text"),
        ({"text": Text("x"), "other": Text("x")}, "has no input 'other'; its inputs are text"),
        ({"text": Number(1)}, "input text of tool sample holds number; it takes text"),
        ({"text": (Text("x"),)}, "is a list; it takes text"),
    ],
)
async def test_inputs_that_do_not_fit_are_the_callers_error(
    inputs: dict[str, Value], message: str, host: Host, workshop: Workshop
) -> None:
    with pytest.raises(CallerError, match=message):
        await outputs(host, workshop.tool(), **inputs)


async def test_a_tool_may_bear_the_name_of_a_package_and_import_what_lies_beside_it(
    host: Host, workshop: Workshop
) -> None:
    code = """
        import sys
        import json
        import numpy
        from .beside import WORD

        class Sample:
            def setup(self, checkpoints, device): ...
            def run(self, batch):
                from .beside import WORD as again
                shown = [WORD, again, numpy.zeros(1).size, json.dumps(1), __file__.rpartition("/")[0] in sys.path]
                return [{"text": repr(shown)} for call in batch]
            def close(self): ...
    """
    binding = workshop.tool(code, name="numpy", beside={"beside.py": "WORD = 'beside'", "json.py": "raise ValueError"})
    assert await say(host, binding, "x") == "['beside', 'beside', 1, '1', False]"
    assert not list(binding.folder.glob("__pycache__"))


async def test_an_edited_tool_is_another_tool(host: Host, workshop: Workshop) -> None:
    for word in ("one", "two"):
        binding = workshop.tool(tool_class(f"return [{{'text': '{word}'}} for call in batch]"))
        assert await say(host, binding, "x") == word


async def test_a_loaded_tool_is_healthy_and_listed_until_it_is_unloaded(host: Host, workshop: Workshop) -> None:
    binding = workshop.tool()
    assert not await host.health(binding)
    await host.load(binding)
    await say(host, binding, "x")
    assert await host.health(binding)
    (state,) = await host.stats()
    assert (state.tool, state.identity, state.device, state.calls) == ("sample", binding.identity, "cpu", 1)
    await host.unload(binding)
    assert not await host.health(binding)
    assert await host.stats() == []
    assert await say(host, binding, "again") == "AGAIN"


@pytest.mark.parametrize("kind", ["inline", "worker"])
def test_a_host_serves_one_event_loop_after_another(kind: str, workshop: Workshop) -> None:
    host: Host = InlineHost(workshop.store) if kind == "inline" else WorkerHost(workshop.home, workshop.store)
    binding = workshop.tool()

    async def last() -> str:
        said = await say(host, binding, "two")
        await host.close()
        return said

    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(say(host, binding, "one")) == "ONE"
    other = asyncio.new_event_loop()
    assert other.run_until_complete(last()) == "TWO"
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    other.close()
