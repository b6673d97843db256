"""Sentences of a text that comes piece by piece."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorium.agent.sentences import Sentences, split


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("", []),
        (" \n ", []),
        ("No end mark", ["No end mark"]),
        ("Hello. How are you? Fine!", ["Hello.", "How are you?", "Fine!"]),
        ("What?! No way... Yes.", ["What?!", "No way...", "Yes."]),
        ("Well... maybe. Well… perhaps.", ["Well... maybe.", "Well… perhaps."]),
        ("Dr. Smith met Mrs. Jones. They talked.", ["Dr. Smith met Mrs. Jones.", "They talked."]),
        ("See e.g. Rome. It is old.", ["See e.g. Rome.", "It is old."]),
        ("Bring bread, milk etc. and come. Good.", ["Bring bread, milk etc. and come.", "Good."]),
        ("J. R. Smith wrote it. I read it.", ["J. R. Smith wrote it.", "I read it."]),
        ("The U.S. Army came. It left.", ["The U.S. Army came.", "It left."]),
        ("It ends at 5 p.m. Then we go.", ["It ends at 5 p.m.", "Then we go."]),
        ("It costs 3.50 today. Version 2.0.1 is out.", ["It costs 3.50 today.", "Version 2.0.1 is out."]),
        ("He has 3. She has 4.", ["He has 3.", "She has 4."]),
        ("No. It is not. See No. 5. Good.", ["No.", "It is not.", "See No. 5.", "Good."]),
        ("Open www.example.org now. Done.", ["Open www.example.org now.", "Done."]),
        ("“Stop!” he said. Then he left.", ["“Stop!” he said.", "Then he left."]),
        ('He said "Go." Then he went.', ['He said "Go."', "Then he went."]),
        ("(Really.) **Bold.** Next.", ["(Really.)", "**Bold.**", "Next."]),
        ("1. Milk\n2. Two eggs. Fresh ones.\n\nThat is all", ["1. Milk", "2. Two eggs.", "Fresh ones.", "That is all"]),
        ("A heading\r\nA text.", ["A heading", "A text."]),
        ("你好。今天天气很好！你呢？", ["你好。", "今天天气很好！", "你呢？"]),
        ("他说：“走吧。”然后走了。", ["他说：“走吧。”", "然后走了。"]),
        ("真的吗？！我……不知道。", ["真的吗？！", "我……不知道。"]),
        ("圆周率约为3.14。好的。OK.", ["圆周率约为3.14。", "好的。", "OK."]),
    ],
)
def test_a_text_falls_into_its_sentences(text: str, sentences: list[str]) -> None:
    assert split(text) == sentences


def test_a_sentence_is_given_as_soon_as_it_is_known_to_be_whole() -> None:
    sentences = Sentences()
    given_then = [
        sentences.feed(piece) for piece in ("It ", "rains", ".", " ", "Dr", ".", " Moss", " stays.\n", "好。")
    ]
    assert given_then == [[], [], [], [], ["It rains."], [], [], ["Dr. Moss stays."], []]
    assert sentences.rest() == ["好。"]
    assert sentences.rest() == []


@given(st.lists(st.text(alphabet="aB1 .!?…。！？”)\"'\n*")))
def test_pieces_make_no_difference_and_nothing_is_lost(pieces: list[str]) -> None:
    text = "".join(pieces)
    sentences = Sentences()
    found = [sentence for piece in pieces for sentence in sentences.feed(piece)] + sentences.rest()
    assert found == split(text)
    assert "".join("".join(found).split()) == "".join(text.split())
