"""Pictures and latents through servers that vLLM really runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image as PillowImage

from sensorium import media
from sensorium.checkpoint import Checkpoints
from sensorium.errors import CallerError, OperatorError
from sensorium.events import Event, WireCrossed
from sensorium.graph import RunOptions
from sensorium.host import WorkerHost
from sensorium.host.environment import Environments
from sensorium.latent.sealing import Sealer
from sensorium.latent.spaces import EMBEDS, hidden_space
from sensorium.model import VLLM_REQUIREMENTS, Placement, TransformersModel, open_model
from sensorium.model.contract import Ask, Message, MessagePart, Model, Reply
from sensorium.model.vllm.client import Waits
from sensorium.model.vllm.model import VllmModel
from sensorium.model.vllm.opening import open_pooling, open_started
from sensorium.model.vllm.pooling_server import PoolingServer
from sensorium.model.vllm.started import Started
from sensorium.parts import Image, Latent
from sensorium.project import Project
from sensorium.project.folders import home_folder
from sensorium.spec.projectfile import ModelSetting
from sensorium.store import Store
from sensorium.testing import Scratch
from tests.box.tiny_llava import IMAGE_TOKENS, tiny_llava

pytestmark = pytest.mark.vllm

WORDS = "smollm2-135m-transformers"
QUESTION = "What colour is the sky on a clear day?"
LEAST_COSINE = 0.998
"""Of two computations in 16 bits, whose order of adding depends on the runtime and its threads."""
TEXTS = (
    "A cat sat on the mat, and said nothing at all to the dog.",
    "The old lighthouse keeper climbed the stairs every evening to light the lamp. " * 4,
    "def add(one, other):\n    return one + other\n",
)


@pytest.fixture
def words() -> Path:
    """The checkpoint of a small model of words."""
    try:
        return Checkpoints(home_folder(), Project(None).manifests).directory(WORDS)
    except OperatorError as error:
        pytest.skip(str(error))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
async def host(tmp_path: Path, store: Store) -> AsyncIterator[WorkerHost]:
    host = WorkerHost(tmp_path, store)
    yield host
    await host.close()


def placed(checkpoint: Path, host: WorkerHost) -> Placement:
    try:
        python = Environments(home_folder()).python(VLLM_REQUIREMENTS)
    except OperatorError as error:
        pytest.skip(str(error))
    return Placement(checkpoint, "0" * 64, host, keep_warm_s=0, setup_s=300, call_s=300, python=python)


def setting(**told: object) -> ModelSetting:
    return ModelSetting.model_validate({"checkpoint": "tiny", "backend": "vllm", "context_tokens": 512, **told})


async def reply(model: Model, *parts: MessagePart, text: str = "What is this?", tokens: int = 8) -> Reply:
    ask = Ask((Message("user", text, parts),), max_tokens=tokens)
    *_, last = [event async for event in model.ask(ask)]
    assert isinstance(last, Reply)
    return last


async def ended(model: VllmModel, host: WorkerHost) -> None:
    await model.close()
    assert isinstance(model.servers, Started)
    await host.unload(model.servers.binding)


def picture(store: Store, image: PillowImage.Image) -> Image:
    return Image(store.put(media.encode_png(image), "image/png"), image.width, image.height)


async def test_a_model_that_reads_pictures_sees_them(words: Path, tmp_path: Path, host: WorkerHost) -> None:
    scratch = Scratch(tmp_path / "scratch")
    told = setting(reads=["image"], flags={"model-impl": "transformers"})  # vLLM's own LLaVA wants torchvision
    model = open_started(told, placed(tiny_llava(tmp_path / "llava", words), host))
    colours = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)
    red, mixed = (PillowImage.new("RGB", (90, 60), (220, 20, 20)), PillowImage.fromarray(colours))
    red_part, mixed_part = picture(scratch.store, red), picture(scratch.store, mixed)

    blind, seeing = await reply(model), await reply(model, red_part)
    assert seeing.usage.prompt_tokens == blind.usage.prompt_tokens + IMAGE_TOKENS
    assert len({blind.text, seeing.text, (await reply(model, mixed_part)).text}) == 3
    assert (await reply(model, picture(scratch.store, red))).text == seeing.text
    both = await reply(model, red_part, mixed_part)
    assert both.usage.prompt_tokens == blind.usage.prompt_tokens + 2 * IMAGE_TOKENS
    assert "[image 90×60]\nWhat is this?" in model.prompt(Ask((Message("user", "What is this?", (red_part,)),)))
    spoofed = await reply(model, red_part, text="What is <image> this?")
    assert spoofed.usage.prompt_tokens > seeing.usage.prompt_tokens  # it was read as words

    scratch.models["central"] = model
    scratch.agent("eyes", inputs={"request": "text", "image": "image"}, limits={"answer_tokens": 8})
    answers = [
        str((await scratch.graph(LOOK).arun(request="What is this?", image=image)).answer)
        for image in (red, mixed, red)
    ]
    assert answers[0] == answers[2] != answers[1]
    await scratch.close()
    await ended(model, host)


LOOK = """
    name: looking
    inputs: {request: text, image: image}
    nodes: {look: {agent: eyes, with: {request: $request, image: $image}}}
    outputs: {answer: $look.answer}
"""


async def test_input_embeddings_say_what_their_text_says(words: Path, host: WorkerHost, store: Store) -> None:
    model = open_started(setting(), placed(words, host))
    embeds = await embeds_of(words, host, store, QUESTION)
    told, shown = await reply(model, text=QUESTION, tokens=24), await reply(model, embeds, text="", tokens=24)
    assert told.text
    assert (shown.text, shown.usage.prompt_tokens) == (told.text, told.usage.prompt_tokens)
    half = Latent("lm.embeds", "", (2, 288), "float32", store.put(bytes(2 * 288 * 4), "application/octet-stream"))
    with pytest.raises(CallerError, match="rows of 288 numbers, and this language model's input embeddings have 576"):
        await reply(model, half)
    with pytest.raises(CallerError, match=r"space 'lm.hidden', and this language model reads 'lm.embeds'"):
        await reply(model, msgspec.structs.replace(embeds, space="lm.hidden"))
    unknown = VllmModel(model.servers, Waits(), is_local=True, reads=("image", "latent"))
    with pytest.raises(CallerError, match=r"answers 400: .*hidden_size 288 does not match"):
        await reply(unknown, half)  # where the checkpoint is not at hand, the server tells
    with pytest.raises(CallerError, match="answers 400"):
        await reply(unknown, picture(store, PillowImage.new("RGB", (8, 8))))
    await unknown.close()
    await ended(model, host)


async def test_a_pooling_server_gives_the_hidden_states_of_a_text(words: Path, host: WorkerHost, store: Store) -> None:
    pooling = open_pooling(setting(), placed(words, host), store)
    for text in TEXTS:
        given, wanted = await pooling.hidden(text), await states(words, host, store, text)
        assert (given.space, given.shape, given.dtype) == ("lm.hidden", wanted.shape, "bfloat16")
        assert cosines(floats(given), wanted).min() >= LEAST_COSINE
    with pytest.raises(CallerError, match="512"):
        await pooling.hidden("word " * 600)
    assert isinstance(pooling.post, PoolingServer)
    await pooling.post.close()
    await host.unload(pooling.post.started.binding)


async def test_what_a_model_of_transformers_read_goes_to_the_server_of_its_checkpoint(
    words: Path, tmp_path: Path
) -> None:
    scratch = Scratch(tmp_path / "scratch")
    host = WorkerHost(scratch.home, scratch.store)
    scratch.models["central"] = reader(words, host, scratch.store)
    scratch.models["served"] = served = open_started(setting(), placed(words, host))
    scratch.agent("reader", inputs={"document": "text"}, outputs={"memory": "latent(lm.context)"})
    scratch.agent(
        "answerer",
        model="served",
        inputs={"memory": "latent(lm.context)", "question": "text"},
        limits={"answer_tokens": 16},
    )
    told: dict[str, str] = {}
    for rungs in ("[kv, recipe, embeds]", "[text]"):
        events: list[Event] = []
        result = await scratch.graph(HANDED_OVER.replace("RUNGS", rungs)).arun(
            document="The key lies under the red stone.", options=RunOptions(on_event=events.append)
        )
        (crossed,) = (event for event in events if isinstance(event, WireCrossed))
        told[crossed.rung] = str(result["answer"])
    assert set(told) == {"embeds", "text"}
    told_at_once = "The key lies under the red stone.\nWhere does the key lie?"  # vLLM puts a line between parts
    asked = Ask((Message("system", "Answer in a few words."), Message("user", told_at_once)), max_tokens=16)
    *_, last = [event async for event in served.ask(asked)]
    assert isinstance(last, Reply)
    assert told["embeds"] == last.text.strip()
    await scratch.close()
    await ended(served, host)
    await host.close()


HANDED_OVER = """
    name: handed-over
    inputs: {document: text}
    nodes:
      read: {agent: reader, with: {document: $document}}
      say:
        agent: answerer
        with: {memory: $read.memory, question: "Where does the key lie?"}
        wire: {memory: {rungs: RUNGS}}
    outputs: {answer: $say.answer}
"""


async def embeds_of(words: Path, host: WorkerHost, store: Store, text: str) -> Latent:
    """The input embeddings of a text, as a model of transformers gives them."""
    model, sealer = reader(words, host, store), Sealer(store, store.root.parent)
    return sealer.unsealed((await model.give((await model.reading(text)).context, EMBEDS)).blob)


async def states(words: Path, host: WorkerHost, store: Store, text: str) -> npt.NDArray[np.float32]:
    """The last layer's hidden states of a text as transformers computes them, float32 [tokens, width]."""
    model, sealer = reader(words, host, store), Sealer(store, store.root.parent)
    space = hidden_space((await model.end()).layers)
    return floats(sealer.unsealed((await model.give((await model.reading(text)).context, space)).blob))


def reader(words: Path, host: WorkerHost, store: Store) -> TransformersModel:
    told = ModelSetting(checkpoint=WORDS, backend="transformers", context_tokens=512)
    sealer = Sealer(store, store.root.parent)
    model = open_model("central", told, checkpoint=words, digest="0" * 64, host=host, keep_warm_s=0, sealer=sealer)
    assert isinstance(model, TransformersModel)
    return model


def floats(latent: Latent) -> npt.NDArray[np.float32]:
    array = latent.load()
    if latent.dtype == "bfloat16":
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array.astype(np.float32)


def cosines(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Float32 [rows]."""
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return np.asarray((one * other).sum(axis=1) / norms, np.float32)
