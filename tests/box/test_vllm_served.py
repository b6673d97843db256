"""The language model of the profile `vllm`, really served: one server for all tests here, but for those that end it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import psutil
import pytest

from sensorium.errors import CallerError, ModelError, OperatorError
from sensorium.model.contract import Ask, CallOffer, Message, ModelEvent, Piece, Preparing, Reply
from sensorium.model.vllm.endpoints import Attachment, Endpoint
from sensorium.model.vllm.model import VllmModel
from sensorium.model.vllm.opening import open_attached
from sensorium.project import Project
from sensorium.project.folders import home_folder

pytestmark = pytest.mark.vllm

SKY = (Message("system", "Answer in one sentence."), Message("user", "What colour is the sky on a clear day?"))
COLOUR = {
    "type": "object",
    "properties": {"colour": {"type": "string", "maxLength": 20}, "is_day": {"type": "boolean"}},
    "required": ["colour", "is_day"],
    "additionalProperties": False,
}
END_S = 60.0
BLOCK_TOKENS = 128
"""The cache of the CPU build keeps whole blocks of a prompt."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home with the weights and the environment that are there, whose worker stays warm until all tests are over."""
    home = tmp_path_factory.mktemp("home")
    for name in ("checkpoints", "envs"):
        (home / name).symlink_to(home_folder() / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SENSORIUM_HOME", str(home))
        patch.setenv("SENSORIUM_KEEP_WARM_S", "300")
        for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY", "OPENAI_MODEL"):
            patch.delenv(name, raising=False)
        yield home
        subprocess.run([sys.executable, "-m", "sensorium", "models", "stop", "--all"], check=True)


@pytest.fixture
async def model(place: Path) -> AsyncIterator[VllmModel]:
    project = Project(None, profile="vllm")
    try:
        made = await project.model("central")
    except OperatorError as error:
        pytest.skip(str(error))
    assert isinstance(made, VllmModel)
    yield made
    await project.close()


async def heard(model: VllmModel, ask: Ask) -> list[ModelEvent]:
    return [event async for event in model.ask(ask)]


async def reply(model: VllmModel, ask: Ask) -> Reply:
    said = await heard(model, ask)
    last = said[-1]
    assert isinstance(last, Reply)
    assert "".join(event.text for event in said if isinstance(event, Piece)) == last.text
    return last


def endpoint(model: VllmModel) -> Endpoint:
    (only,) = model.servers.endpoints.every
    return only


def processes(place: Path) -> list[psutil.Process]:
    """Everything that the worker has started, its guard first."""
    (state,) = [json.loads(path.read_text()) for path in place.glob("workers/vllm-*/state.json")]
    return psutil.Process(state["pid"]).children(recursive=True)


async def test_a_reply_is_streamed_and_the_same_again(model: VllmModel) -> None:
    first = await heard(model, Ask(SKY, max_tokens=24))
    pieces, last = [event for event in first if isinstance(event, Piece)], first[-1]
    assert isinstance(last, Reply)
    assert "blue" in last.text.lower()
    assert len(pieces) > 3
    assert last.usage.prompt_tokens > 10
    assert len(pieces) <= last.usage.answer_tokens <= 24
    assert 0 < last.usage.first_token_s < last.usage.seconds
    assert (await reply(model, Ask(SKY, max_tokens=24))).text == last.text


async def test_choices_and_schemas_hold_the_reply(model: VllmModel) -> None:
    assert (await reply(model, Ask(SKY, choices=("green as grass", "blue")))).text == "blue"
    said = await reply(model, Ask(SKY, schema=COLOUR, max_tokens=40))
    assert set(json.loads(said.text)) == {"colour", "is_day"}
    assert "\n" not in said.text


async def test_a_call_names_a_tool_that_is_offered_and_what_it_needs(model: VllmModel) -> None:
    colour = CallOffer("paint", "Paints a thing in a colour.", COLOUR)
    nothing = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    offers = (colour, CallOffer("answer", "Replies in words.", nothing))
    said = await reply(model, Ask((Message("user", "Paint the sky in the colour of the day."),), calls=offers))
    called = json.loads(said.text)
    assert called["name"] in ("paint", "answer")
    assert set(called["arguments"]) == ({"colour", "is_day"} if called["name"] == "paint" else set())


async def test_a_beginning_is_gone_on_with_and_a_limit_ends_it(model: VllmModel) -> None:
    said = await reply(model, Ask((Message("user", "Count to five."), Message("assistant", "1, 2, 3,")), max_tokens=3))
    assert said.text.lstrip().startswith("4")
    assert said.finish == "length"
    assert "4" not in (await reply(model, Ask(SKY[1:], stop=("4",), max_tokens=8))).text


async def test_the_prefix_of_a_second_turn_is_found_in_the_cache(model: VllmModel) -> None:
    long = Message("system", "You name colours, one word each. " * 60)
    first = await reply(model, Ask((long, SKY[1]), max_tokens=8))
    turns = (long, SKY[1], Message("assistant", first.text), Message("user", "And of grass?"))
    second = await reply(model, Ask(turns, max_tokens=8))
    assert second.usage.cached_tokens > first.usage.prompt_tokens - BLOCK_TOKENS - len(first.text)


async def test_a_prompt_that_is_too_long_is_told_with_its_length(model: VllmModel) -> None:
    with pytest.raises(
        CallerError, match=r"the prompt has \d{5} tokens, \d+ more than the 8192 of the model's context"
    ):
        await reply(model, Ask((Message("user", "word " * 12_000),)))


def running(at: Endpoint) -> float:
    """How many requests the server works on."""
    with urllib.request.urlopen(at.url.removesuffix("/v1") + "/metrics", timeout=END_S) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("vllm:num_requests_running{"))


async def test_whoever_stops_listening_ends_the_servers_work(model: VllmModel) -> None:
    endless = Ask((Message("user", "Count from one to a thousand, in words."),), max_tokens=4000)
    async with aclosing(model.ask(endless)) as events:
        async for event in events:
            if isinstance(event, Piece):
                break
        assert running(endpoint(model)) == 1
    until_s = time.monotonic() + END_S
    while running(endpoint(model)):
        assert time.monotonic() < until_s


async def test_a_server_that_runs_already_is_attached_to_by_the_name_it_serves(model: VllmModel) -> None:
    first = await reply(model, Ask(SKY, max_tokens=8))
    served = Project(None).checkpoints.digest("qwen2.5-coder-0.5b-transformers")[:12]

    def attached(name: str, key: str | None = endpoint(model).key) -> VllmModel:
        at = Endpoint.at(endpoint(model).url, key, "there")
        return open_attached(Attachment((at,), name, None, None))

    there = attached(f"qwen2.5-coder-0.5b-transformers@{served}")
    assert (await reply(there, Ask(SKY, max_tokens=8))).text == first.text
    await there.close()
    for other, told in (
        (attached("other"), "the server there serves 'qwen.*and the profile wants 'other'"),
        (attached("other", None), "answers 401: Unauthorized; it wants key: of the profile"),
    ):
        with pytest.raises(OperatorError, match=told):
            await reply(other, Ask(SKY))
        await other.close()


def chat(elsewhere: Path, **told: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sensorium", "chat", "--profile", "vllm", "--json"]
    return subprocess.run(
        [*command, "-m", "What colour is the sky on a clear day? Answer in one word."],
        capture_output=True,
        text=True,
        cwd=elsewhere,
        env=os.environ | told,
        check=False,
    )


@pytest.mark.usefixtures("model")
def test_chat_works_by_the_profile(place: Path, elsewhere: Path) -> None:
    done = chat(elsewhere)
    assert done.returncode == 0, done.stderr
    answered: dict[str, Any] = json.loads(done.stdout)
    assert answered["status"] == "done"
    assert answered["reply"]


async def test_chat_attaches_where_the_environment_names_a_server(
    model: VllmModel, tmp_path: Path, elsewhere: Path
) -> None:
    await reply(model, Ask(SKY, max_tokens=4))
    at = endpoint(model)
    told = {"OPENAI_BASE_URL": at.url, "OPENAI_API_KEY": at.key or "", "SENSORIUM_HOME": str(tmp_path / "other")}
    done = chat(elsewhere, **told)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["reply"]
    wrong = chat(elsewhere, **told, OPENAI_MODEL="gpt-none")
    assert wrong.returncode == OperatorError.exit_code
    error = json.loads(wrong.stdout)["error"]
    assert (error["kind"], "and the profile wants 'gpt-none'" in error["message"]) == ("operator", True)
    assert at.url not in wrong.stdout + wrong.stderr


async def test_a_server_that_is_killed_in_midstream_is_started_again_by_the_next_ask(
    model: VllmModel, place: Path
) -> None:
    endless = Ask((Message("user", "Count from one to a thousand, in words."),), max_tokens=4000)
    async with aclosing(model.ask(endless)) as coming:
        async for event in coming:
            if isinstance(event, Piece):
                break
        before = processes(place)
        (server,) = before[0].children()
        server.kill()
        with pytest.raises(ModelError, match="after some of its reply was passed on") as caught:
            [event async for event in coming]
    assert caught.value.can_retry
    said = await heard(model, Ask(SKY, max_tokens=8))
    assert isinstance(said[-1], Reply)
    assert any(isinstance(event, Preparing) and event.is_loading for event in said)
    assert psutil.wait_procs(before, timeout=END_S)[1] == []


async def test_a_worker_that_is_killed_takes_its_server_with_it(model: VllmModel, place: Path) -> None:
    await reply(model, Ask(SKY, max_tokens=4))
    served = processes(place)
    assert len(served) >= 3
    served[0].parent().kill()  # type: ignore[union-attr]  # a guard that lives has a parent
    assert psutil.wait_procs(served, timeout=END_S)[1] == []
