"""Every example that needs weights runs as written."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from skimage.data import data_dir

pytestmark = pytest.mark.models

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def run(name: str, *arguments: str, cwd: Path) -> str:
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_cat_is_seen_and_cut(elsewhere: Path) -> None:
    told = run("02_describe_and_cut.py", cwd=elsewhere)
    assert "cat" in told
    assert (elsewhere / "out/examples/mask.png").is_file()


def test_a_spoken_request_is_answered_aloud(elsewhere: Path) -> None:
    told = run("03_hear_see_speak.py", "--profile", "small", cwd=elsewhere)
    assert "transcript: What is in this picture? Please cut out the cat." in told
    assert (elsewhere / "out/demo/overlay.png").is_file()
    assert (elsewhere / "out/demo/speech.wav").is_file()


def test_a_folder_is_captioned(elsewhere: Path) -> None:
    (elsewhere / "album").mkdir()
    for name in ("chelsea.png", "coffee.png"):
        shutil.copy(Path(data_dir) / name, elsewhere / "album" / name)
    told = run("04_caption_folder.py", "album", cwd=elsewhere)
    assert "chelsea.png: " in told
    assert "coffee.png: " in told


def test_an_answer_is_spoken_sentence_by_sentence(elsewhere: Path) -> None:
    told = run("06_answer_aloud.py", "How does a plane fly?", "--profile", "small", cwd=elsewhere).splitlines()
    written = [line for line in told if line.startswith("written: ")]
    spoken = [line for line in told if line.startswith("spoken: ")]
    assert len(written) == len(spoken) >= 1, "how many sentences the model writes is its own affair"
    assert len(list((elsewhere / "out/aloud").glob("*.wav"))) == len(spoken)


def test_a_text_is_written_and_judged(elsewhere: Path) -> None:
    request = "One sentence that thanks Tom for the book about birds."
    told = run("08_draft_and_critique.py", request, "--profile", "small", cwd=elsewhere)
    drafts = told.count("draft: ")
    assert 1 <= drafts <= 3
    assert told.count("critic: ") == drafts
    assert f"rounds: {drafts}" in told
