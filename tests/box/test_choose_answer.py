"""`choose-answer`, and the graphs whose answer it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from skimage.data import data_dir

from sensorium.errors import OperatorError
from sensorium.parts import Number, Text
from sensorium.project import Project
from sensorium.spec.read import read_graph
from sensorium.testing import Scratch

from .in_process import BOX, call, open_tool

CLAIM = "The unicorn is cut out; the mask shows it."


@pytest.mark.parametrize(
    ("phrase", "count", "answer"),
    [
        ("unicorn", 1.0, CLAIM),
        (None, None, CLAIM),
        ("unicorn", None, CLAIM),
        ("unicorn", 0.0, 'I could not find "unicorn" in the picture, so nothing was cut out.'),
    ],
)
def test_an_answer_stands_unless_its_thing_was_not_found(phrase: str | None, count: float | None, answer: str) -> None:
    tool = open_tool("choose-answer")
    assert call(tool, answer=CLAIM, phrase=phrase, count=count).outputs == {"answer": answer}


def test_who_was_answered_in_chinese_is_told_in_chinese() -> None:
    told = call(open_tool("choose-answer"), answer="独角兽已经抠好了。", phrase="unicorn", count=0.0).outputs
    assert told == {"answer": "图中没有找到“unicorn”，所以什么也没有抠出来。"}


class Find:
    """Finds as many as the phrase names."""

    def setup(self, checkpoints: dict[str, str], device: str) -> None: ...

    def run(self, batch: list[dict[str, str]]) -> list[dict[str, int]]:
        return [{"count": int(call["phrase"])} for call in batch]

    def close(self) -> None: ...


CUTTING = """
    name: cutting
    inputs: {request: text}
    nodes:
      think: {agent: assistant, with: {request: $request}}
      find:  {tool: find, with: {phrase: $think.object}}
      tell:  {tool: choose-answer, with: {answer: $think.answer, phrase: $think.object, count: $find.count}}
    outputs: {answer: $tell.answer, count: $find.count}
"""


@pytest.mark.parametrize(("phrase", "is_kept"), [('"1"', True), ('"0"', False), ("null", True)])
async def test_in_a_graph_it_is_the_answer_that_is_told(tmp_path: Path, phrase: str, is_kept: bool) -> None:
    scratch = Scratch(tmp_path)
    scratch.tool("find", Find, inputs={"phrase": "text"}, outputs={"count": "number"})
    scratch.tool_folder(BOX / "choose-answer")
    scratch.agent("assistant", inputs={"request": "text"}, outputs={"answer": "text", "object": "text?"})
    scratch.scripted("central", lambda ask: f'{{"object": {phrase}}}' if ask.schema else CLAIM)
    result = await scratch.graph(CUTTING).arun(request="Cut out the unicorn.")
    assert (result["answer"] == Text(CLAIM)) is is_kept
    if not is_kept:
        assert result["count"] == Number(0.0)
        assert "nothing was cut out" in result["answer"].value


@pytest.mark.parametrize("name", ["describe-and-cut", "hear-see-speak"])
def test_graphs_that_cut_tell_what_was_found_rather_than_what_was_claimed(name: str) -> None:
    spec = read_graph(BOX.parent / "graphs" / f"{name}.yaml").spec
    told = [str(node.with_["answer"]) for node in spec.nodes.values() if node.tool == "choose-answer"]
    assert told == ["$think.answer"]
    assert "$think.answer" not in [str(wire) for wire in spec.outputs.values()]


@pytest.mark.models
@pytest.mark.parametrize(("thing", "is_there"), [("cat", True), ("rocket", False)])
async def test_the_small_model_cannot_claim_what_was_not_found(thing: str, is_there: bool) -> None:
    project = Project(None, profile="small")
    try:
        await project.model("central")
    except OperatorError as error:
        pytest.skip(str(error))
    request = f"What is in this picture? Cut out the {thing}."
    result = await project.graph("describe-and-cut").arun(picture=f"{data_dir}/chelsea.png", request=request)
    await project.close()
    assert (result["masks"] is not None and result["masks"].count == 1) is is_there
    assert ("nothing was cut out" not in result["answer"].value) is is_there
