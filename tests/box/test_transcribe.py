"""What `transcribe` hears, and what it refuses to hear."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import numpy.typing as npt
import pytest
import soundfile  # pyright: ignore[reportMissingTypeStubs] - it has none

import sensorium
from sensorium.checkpoint.convert_whisper import convert, read_variables
from sensorium.errors import CallerError, LanguageError, OperatorError
from sensorium.events import NodeProgress
from sensorium.graph import Graph, Result

Samples = npt.NDArray[np.float32]

LIBRIVOX = Path("/usr/share/pocketsphinx/test/data/librivox")
RATE_HZ = 16_000
FIRST = "mr john dashwood had then leisure to consider how much there might be prudently in his power to do for them"

clips_are_here = pytest.mark.skipif(not LIBRIVOX.is_dir(), reason="needs Debian's pocketsphinx-testdata")


@pytest.fixture(scope="module")
def graph() -> Graph:
    return sensorium.load("transcribe")


@pytest.fixture
async def project() -> AsyncGenerator[sensorium.Project]:
    """The box, on the event loop of the test."""
    found = sensorium.Project.find()
    yield found
    await found.close()


@pytest.fixture
def clips() -> dict[str, Samples]:
    """The LibriVox clips by what is said in them, 16 kHz."""
    lines = (LIBRIVOX / "transcription").read_text().splitlines()
    found = [match for match in (re.fullmatch(r"<s> (.*?) *</s> \((.+)\)", line) for line in lines) if match]
    return {match[1]: read(LIBRIVOX / f"{match[2]}.wav") for match in found}


def read(path: Path) -> Samples:
    samples: Any = soundfile.read(path, dtype="float32")[0]
    return np.asarray(samples, np.float32)


def hear(graph: Graph, folder: Path, samples: Samples, rate_hz: int = RATE_HZ) -> Result:
    path = folder / "sound.wav"
    soundfile.write(path, samples, rate_hz)
    return graph.run(audio=path)


def words(text: object) -> str:
    return re.sub(r"[^a-z ]", "", str(text).lower().replace("-", " ")).removeprefix("and ").strip()


def silence(seconds: float) -> Samples:
    return np.zeros(int(seconds * RATE_HZ), np.float32)


@clips_are_here
@pytest.mark.models
def test_eight_words_of_a_hundred_at_most_are_wrong(graph: Graph, clips: dict[str, Samples], tmp_path: Path) -> None:
    heard = [words(hear(graph, tmp_path, samples).text) for samples in clips.values()]
    said = [words(text.replace("mister", "mr")) for text in clips]
    assert jiwer.wer(said, heard) <= 0.08, heard


@clips_are_here
@pytest.mark.models
def test_passages_have_times_in_order_and_make_up_the_text(
    graph: Graph, clips: dict[str, Samples], tmp_path: Path
) -> None:
    samples = np.concatenate([*clips.values()])
    result = hear(graph, tmp_path, samples)
    segments = result.segments.value
    times = [time for segment in segments for time in (segment.start_s, segment.end_s)]
    assert len(segments) >= 3
    assert times == sorted(times)
    assert 0 <= times[0] < times[-1] <= len(samples) / RATE_HZ + 0.05
    assert " ".join(segment.text for segment in segments) == str(result.text)
    assert str(result.language) == "en"


@clips_are_here
@pytest.mark.models
def test_states_are_what_the_encoder_makes_of_the_speech(
    graph: Graph, clips: dict[str, Samples], whisper: Path, tmp_path: Path
) -> None:
    faster_whisper: Any = pytest.importorskip("faster_whisper")
    samples = next(iter(clips.values()))
    states = hear(graph, tmp_path, samples)["states"]
    assert (states.space, states.dtype, states.shape[1]) == ("whisper.encoder", "float16", 384)
    assert states.twin == str(hear(graph, tmp_path, samples).text)
    assert len(samples) / RATE_HZ - 1.5 < states.shape[0] / 50 <= len(samples) / RATE_HZ + 0.02
    model = faster_whisper.WhisperModel(str(whisper), device="cpu", compute_type="float32")
    heard = np.concatenate([silence(0.3), samples, silence(30)])[: 30 * RATE_HZ]
    encoded = np.array(model.encode(model.feature_extractor(heard)[:, :3000]))[0, 15 : 15 + states.shape[0]]
    ours = states.load().astype(np.float32)
    cosines = (ours * encoded).sum(1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(encoded, axis=1)
    assert cosines.mean() > 0.98


@clips_are_here
@pytest.mark.models
def test_states_of_more_than_one_window_stand_one_behind_the_other(
    graph: Graph, clips: dict[str, Samples], tmp_path: Path
) -> None:
    first, second, *_ = clips.values()
    apart = [hear(graph, tmp_path, samples)["states"] for samples in (first, second)]
    both = hear(graph, tmp_path, np.concatenate([first, silence(5), second]))["states"]
    assert both.shape[0] == pytest.approx(sum(states.shape[0] for states in apart), abs=60)


@clips_are_here
@pytest.mark.models
@pytest.mark.parametrize(("rate_hz", "num_channels"), [(8_000, 1), (48_000, 2)])
def test_any_rate_and_number_of_channels_is_heard_alike(
    graph: Graph, clips: dict[str, Samples], tmp_path: Path, rate_hz: int, num_channels: int
) -> None:
    first = next(iter(clips.values()))
    samples = first[::2] if rate_hz == 8_000 else np.repeat(first, 3)
    result = hear(graph, tmp_path, np.stack([samples] * num_channels, axis=1), rate_hz)
    assert words(result.text) == FIRST


@pytest.mark.models
@pytest.mark.parametrize(
    "samples",
    [
        silence(0.01),
        silence(40),
        np.random.default_rng(0).normal(0, 0.1, RATE_HZ * 5).astype(np.float32),
        (0.5 * np.sin(np.arange(RATE_HZ * 3) * 2 * np.pi * 440 / RATE_HZ)).astype(np.float32),
    ],
    ids=["a hundredth of a second", "silence", "noise", "a tone"],
)
def test_where_nobody_speaks_nothing_is_heard(graph: Graph, tmp_path: Path, samples: Samples) -> None:
    result = hear(graph, tmp_path, samples)
    assert str(result.text) == ""
    assert result.segments.value == ()
    assert result["states"] is None


@pytest.mark.models
def test_a_sound_without_samples_is_the_callers_mistake(graph: Graph, tmp_path: Path) -> None:
    with pytest.raises(CallerError):
        hear(graph, tmp_path, silence(0))


@clips_are_here
@pytest.mark.models
async def test_more_than_five_minutes_are_heard_with_progress_and_right_times(
    project: sensorium.Project, clips: dict[str, Samples], tmp_path: Path
) -> None:
    graph = project.graph("transcribe")
    first, second, *_ = clips.values()
    path = tmp_path / "long.wav"
    soundfile.write(path, np.concatenate([first, silence(300), second, silence(5), first]), RATE_HZ)
    afresh = sensorium.RunOptions(fresh=True)
    events = [event async for event in graph.stream(audio=path, options=afresh)]
    shares = [event.share for event in events if isinstance(event, NodeProgress)]
    result = await graph.arun(audio=path)
    segments = result.segments.value
    assert len(shares) == len(segments) >= 3
    assert shares == sorted(shares)
    assert words(segments[0].text) in FIRST
    later = [segment for segment in segments if segment.start_s > len(first) / RATE_HZ]
    assert later[0].start_s == pytest.approx(300 + len(first) / RATE_HZ, abs=1.0)
    assert "young man" in later[0].text


@pytest.mark.models
@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="needs Debian's espeak-ng")
@pytest.mark.parametrize(
    ("voice", "text", "name"),
    [
        ("es", "Buenos días, me gustaría reservar una mesa para cuatro personas esta noche, por favor.", "Spanish"),
        ("it", "Buongiorno, vorrei prenotare un tavolo per quattro persone questa sera, grazie mille.", "Italian"),
    ],
)
def test_speech_in_another_language_is_refused_by_name(
    graph: Graph, tmp_path: Path, voice: str, text: str, name: str
) -> None:
    path = tmp_path / "foreign.wav"
    subprocess.run(["espeak-ng", "-v", voice, "-s", "140", "-w", path, text], check=True)
    with pytest.raises(LanguageError, match=name):
        graph.run(audio=path)


@clips_are_here
@pytest.mark.models
@pytest.mark.slow
def test_openai_whisper_hears_the_same_from_the_converted_checkpoint(
    graph: Graph, clips: dict[str, Samples], tmp_path: Path
) -> None:
    (tmp_path / "sensorium.yaml").write_text(
        "sensorium: 1\nname: original\nprofile: original\nprofiles:\n  original:\n    tools:\n      transcribe:\n"
        "        checkpoint: {speech: whisper-tiny-en-openai, language: whisper-base}\n"
        "        environment: requirements-openai.txt\n"
    )
    pull = [sys.executable, "-m", "sensorium", "models", "pull", "transcribe"]
    subprocess.run(pull, cwd=tmp_path, check=True, stdin=subprocess.DEVNULL)
    original = sensorium.load("transcribe", project=tmp_path)
    samples = list(clips.values())[-1]
    assert words(hear(original, tmp_path, samples).text) == words(hear(graph, tmp_path, samples).text)


@pytest.fixture(scope="module")
def whisper() -> Path:
    """The directory of `whisper-tiny-en`."""
    return sensorium.Project.find().checkpoints.directory("whisper-tiny-en")


@pytest.mark.models
def test_a_converted_checkpoint_encodes_as_the_original_does(whisper: Path, tmp_path: Path) -> None:
    ctranslate2: Any = pytest.importorskip("ctranslate2")
    torch: Any = pytest.importorskip("torch")
    transformers: Any = pytest.importorskip("transformers")
    convert(whisper, tmp_path)
    checkpoint = torch.load(tmp_path / "tiny.en.pt", weights_only=True)
    dims, tensors = checkpoint["dims"], checkpoint["model_state_dict"]
    config = transformers.WhisperConfig(
        d_model=dims["n_audio_state"], encoder_layers=dims["n_audio_layer"], encoder_ffn_dim=4 * dims["n_audio_state"],
        encoder_attention_heads=dims["n_audio_head"], num_mel_bins=dims["n_mels"],
    )  # fmt: skip
    encoder = transformers.models.whisper.modeling_whisper.WhisperEncoder(config).eval()
    encoder.load_state_dict(
        {their_name(name): tensor for name, tensor in tensors.items() if name.startswith("encoder")}
    )
    mel = np.random.default_rng(0).normal(0, 0.5, (1, dims["n_mels"], 3000)).astype(np.float32)
    with torch.no_grad():
        ours = encoder(torch.from_numpy(mel)).last_hidden_state.numpy()
    model = ctranslate2.models.Whisper(str(whisper), compute_type="float32")
    theirs = np.array(model.encode(ctranslate2.StorageView.from_array(mel)))
    assert ours.shape == theirs.shape == (1, 1500, 384)
    assert np.abs(ours - theirs).mean() < 1e-4  # of values up to ten; rounding in two libraries
    assert np.abs(ours - theirs).max() < 1e-2


def their_name(name: str) -> str:
    """The name in transformers of a tensor of openai-whisper's encoder."""
    for ours, theirs in {
        "encoder.": "", "blocks.": "layers.", "mlp_ln": "final_layer_norm", "attn_ln": "self_attn_layer_norm",
        ".attn.": ".self_attn.", "mlp.0": "fc1", "mlp.2": "fc2", "query": "q_proj", "key": "k_proj", "value": "v_proj",
        ".out.": ".out_proj.", "ln_post": "layer_norm", "positional_embedding": "embed_positions.weight",
    }.items():  # fmt: skip
        name = name.replace(ours, theirs)
    return name


@pytest.mark.models
def test_every_value_is_copied_as_it_is_stored(whisper: Path, tmp_path: Path) -> None:
    torch: Any = pytest.importorskip("torch")
    convert(whisper, tmp_path)
    variables = read_variables(whisper / "model.bin")
    tensors = torch.load(tmp_path / "tiny.en.pt", weights_only=True)["model_state_dict"]
    stacked = torch.cat([tensors[f"decoder.blocks.3.attn.{name}.weight"] for name in ("query", "key", "value")])
    assert stacked.dtype == torch.float16
    np.testing.assert_array_equal(stacked.numpy(), variables["decoder/layer_3/self_attention/linear_0/weight"])
    stored = sum(array.size for name, array in variables.items() if array.ndim and "projection" not in name)
    key_biases = tensors["encoder.positional_embedding"].shape[1] * 12
    assert sum(tensor.numel() for tensor in tensors.values()) + key_biases == pytest.approx(stored, abs=32)


@pytest.mark.models
def test_a_torn_checkpoint_is_not_converted(whisper: Path, tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes((whisper / "model.bin").read_bytes()[:1_000_000])
    with pytest.raises(OperatorError, match="ends after 1,000,000 bytes"):
        convert(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "content", [b"", b"\x06\0\0\0\x05\0spec\0" + bytes(100), bytes(1000)], ids=["empty", "other", "zeros"]
)
def test_what_is_no_whisper_checkpoint_is_not_converted(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.bin").write_bytes(content)
    with pytest.raises(OperatorError):
        convert(tmp_path, tmp_path / "out")
