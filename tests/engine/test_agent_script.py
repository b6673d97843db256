"""An agent's `prompt.md`."""

from __future__ import annotations

import pytest

from sensorium.agent.script import Script
from sensorium.errors import AuthorError


def test_text_without_headings_is_the_role_and_the_rest_stands_in_the_default_file() -> None:
    script = Script.parse("You are a herald.\nBe loud.")
    assert script.role == "You are a herald.\nBe loud."
    assert "{tools}" in script.choosing
    assert script.choices == ()


def test_examples_are_read_line_by_line() -> None:
    script = Script.parse(
        "Role.\n\n## Choices\nWhat is this? => see\nCut it => out | after find => segment\n"
        '\n## Fillings\nfind | 猫在哪里？ => {"phrase": "cat"}\n\n## Further\nHi => {"object": null}\n'
    )
    assert [(c.request, c.done, c.tool) for c in script.choices] == [
        ("What is this?", "", "see"),
        ("Cut it => out", "find", "segment"),
    ]
    assert (script.fillings[0].tool, script.fillings[0].written) == ("find", '{"phrase":"cat"}')
    assert script.further[0].request == "Hi"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Role\n\n## Chioces\nx", r"a/prompt\.md:3:1: section 'Chioces' is unknown; sections are Role, Choosing"),
        ("## Choices\nno arrow", "example 'no arrow' cannot be read; write REQUEST => TOOL"),
    ],
)
def test_a_wrong_section_or_example_is_the_authors_fault(text: str, message: str) -> None:
    with pytest.raises(AuthorError, match=message):
        Script.parse(text, "a/prompt.md")
