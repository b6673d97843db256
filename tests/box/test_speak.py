"""What `speak` says, and what it refuses to say."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import sensorium
from sensorium.errors import CallerError, LanguageError
from sensorium.events import ItemMade, NodeProgress
from sensorium.graph import Graph

FOLDER = Path(__file__).resolve().parents[2] / "tools/speak"

MARKDOWN = """# Result

I found **two** animals in `garden.jpg`:

1. A _cat_ on the [bench](https://example.com/bench)
- a snake_case dog

| animal | count |
|--------|-------|
| cat    | 1     |

```python
print(1)
```
"""


def module(name: str) -> ModuleType:
    """A module of the tool that stands by itself."""
    spec = importlib.util.spec_from_file_location(f"speak_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded
    spec.loader.exec_module(loaded)
    return loaded


plain = module("plain")
language = module("language")


def said(text: str) -> str:
    return str(plain.plain(language.mark_foreign(plain.without_markup(text))))


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("**bold _both_** and ~~struck~~", "bold both and struck"),
        ("2 * 3 * 4 = 24", "2 times 3 times 4 = 24"),
        ("> quoted\n\n---\nafter", "quoted\nafter"),
        ("- [x] done\n- open", "done\nopen"),
        ("1. first\n2) second", "1: first\n2: second"),
        ("## Title\ntext", "Title.\ntext"),
        ("| a | b |\n|---|---|\n| 1 | 2 |", "a, b.\n1, 2."),
        ("```\nx\ny\n```", "A block of code, 2 lines."),
        ("![a cat](cat.png) ![](x.png)", "Picture: a cat. A picture."),
        ("See https://www.example.com/a?b=c.", "See example dot com."),
        ("Write to ann.lee@example.org!", "Write to ann dot lee at example dot org!"),
        ("Tom &amp; <b>Jerry</b>", "Tom & Jerry"),
        ("\x1b[31mred\x1b[0m\x00\u200b \u202eend", "red end"),
        ("well done 👍🏽 🎉", "well done"),
        ("α ≤ β", "alpha is at most beta"),
        ("ｆｕｌｌ ﬁne", "full fine"),
        ("The word 你好 means hello to most people.", "The word some Chinese means hello to most people."),
        ("one\r\ntwo\u2028three", "one\ntwo\nthree"),
        ("snake_case and __init__", "snake case and init"),
        ("* * *", ""),
    ],
)
def test_marks_for_the_eye_are_put_in_words_or_left_out(written: str, spoken: str) -> None:
    assert said(written) == spoken


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("今天天气很好,我们去公园散步。", "Chinese"),
        ("今日はとても天気がいいです。", "Japanese"),
        ("오늘 날씨가 아주 좋습니다.", "Korean"),
        ("Привет, как дела?", "Russian"),
        ("مرحبا بالعالم", "Arabic"),
        ("γεια σου κόσμε", "Greek"),
        ("Guten Morgen, wie geht es Ihnen heute?", "German"),
        ("Bonjour, je voudrais une tasse de café.", "French"),
        ("¿Cómo estás? Hoy hace mucho calor en la ciudad.", "Spanish"),
        ("Het is een mooie dag en de zon schijnt op het water.", "Dutch"),
        ("Bugün hava çok güzel ve biz parkta yürüyoruz.", "Turkish"),
    ],
)
def test_another_language_is_told_by_its_letters_or_small_words(text: str, name: str) -> None:
    found = language.foreign_language(text, frozenset(("de", "la", "hace")).__contains__)
    assert found is not None
    assert name in found


@pytest.mark.parametrize(
    "text",
    [
        "The quick brown fox jumps over the lazy dog.",
        "ok",
        "C'est la vie, as they say in Paris.",
        "5 + 5 = 10",
        "The word 你好 means hello to most people.",
        "",
    ],
)
def test_english_is_not_taken_for_another_language(text: str) -> None:
    assert language.foreign_language(text) is None


@pytest.fixture(scope="module")
def graph() -> Graph:
    return sensorium.load("speak")


@pytest.fixture
async def project() -> AsyncGenerator[sensorium.Project]:
    """The box, on the event loop of the test."""
    found = sensorium.Project.find()
    yield found
    await found.close()


@pytest.mark.models
async def test_each_sentence_is_passed_on_as_it_is_spoken_and_all_make_up_the_whole(project: sensorium.Project) -> None:
    graph = project.graph("speak")
    text = "The first sentence is here. Dr. Smith says the second one, i.e. this. And a third!"
    events = [event async for event in graph.stream(text=text, options=sensorium.RunOptions(fresh=True))]
    result = await graph.arun(text=text)
    assert sum(isinstance(event, ItemMade) for event in events) == 3
    assert [event.note for event in events if isinstance(event, NodeProgress)][-1] == "sentence 3 of 3"
    whole = np.concatenate([sentence.load() for sentence in result.sentences])
    assert result.audio.rate_hz == 24_000
    np.testing.assert_array_equal(whole, result.audio.load())


@pytest.mark.models
def test_the_same_text_gives_the_same_samples(graph: Graph) -> None:
    afresh = sensorium.RunOptions(fresh=True)
    once, again = (graph.run(text="Good morning.", options=afresh).audio for _ in range(2))
    np.testing.assert_array_equal(once.load(), again.load())


@pytest.mark.models
def test_speed_makes_it_longer_or_shorter(graph: Graph) -> None:
    text = "This is a sentence of some length, to be measured."
    slow, plain_speed, fast = (graph.run({"text": text, "speed": speed}).audio.seconds for speed in (0.5, None, 2.0))
    assert slow > 1.5 * plain_speed > 2 * fast


@pytest.mark.models
@pytest.mark.parametrize(
    "text",
    [
        MARKDOWN,
        "👍",
        "5",
        "100%",
        "a" * 3000,
        "9" * 100,
        "It costs $5.99, i.e. 50% of 1,234.5 km at 9:30 on 2026-11-22.",
        "word " * 500,
    ],
    ids=["markdown", "an emoji", "a number", "a percentage", "one endless word", "digits", "units", "no full stop"],
)
def test_whatever_a_text_is_made_of_it_is_said(graph: Graph, text: str) -> None:
    samples = graph.run(text=text).audio.load()
    assert np.abs(samples).max() > 0.05


@pytest.mark.models
@pytest.mark.slow
async def test_two_thousand_words_are_said_sentence_by_sentence(project: sensorium.Project) -> None:
    text = "The old man walked slowly down to the quiet sea again. " * 182
    result = await project.graph("speak").arun(text=text)
    assert len(result.sentences) == 182
    assert result.audio.seconds == pytest.approx(sum(sentence.seconds for sentence in result.sentences), abs=0.1)


@pytest.mark.models
@pytest.mark.parametrize(
    ("inputs", "error", "match"),
    [
        ({"text": ""}, CallerError, "nothing to say|empty"),
        ({"text": " \n\t "}, CallerError, "nothing to say|empty"),
        ({"text": "!!! ... ---"}, CallerError, "nothing to say"),
        ({"text": "Hello.", "speed": 0.1}, CallerError, "must be from 0.5"),
        ({"text": "Hello.", "speed": 7}, CallerError, "must be from 0.5"),
        ({"text": "今天天气很好。"}, LanguageError, "looks like Chinese; speak knows English only"),
        ({"text": "Guten Morgen, wie geht es Ihnen?"}, LanguageError, "looks like German"),
    ],
)
def test_what_cannot_be_said_is_refused(
    graph: Graph, inputs: dict[str, object], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        graph.run(inputs)


@pytest.mark.models
def test_what_is_spoken_can_be_heard(graph: Graph) -> None:
    spoken = graph.run(text="Please put the green apples in the basket next to the kitchen window.")
    heard = sensorium.load("transcribe").run(audio=spoken.audio)
    assert str(heard.text).lower().strip(".") == "please put the green apples in the basket next to the kitchen window"
