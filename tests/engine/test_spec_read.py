"""Declared files: tools, agents, projects and graphs, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from sensorium.errors import AuthorError
from sensorium.spec.read import expand_environment, parse_graph, read_agent, read_graph, read_project, read_tool

TOOL = """\
name: shout
about: Says a text louder.
inputs: {text: text, times: "number?"}
outputs: {text: text}
batch: {max: 8, wait_ms: 5}
"""


def folder(at: Path, **files: str) -> Path:
    at.mkdir(parents=True)
    for name, text in files.items():
        (at / name.replace("_", ".")).write_text(text, encoding="utf-8")
    return at


def faults(error: AuthorError, root: Path) -> list[str]:
    return [str(fault).replace(f"{root}/", "") for fault in error.faults]


def test_a_tool_is_a_folder_whose_worker_is_not_run(tmp_path: Path) -> None:
    place = folder(tmp_path / "shout", tool_yaml=TOOL, worker_py="raise SystemExit")
    spec = read_tool(place)
    assert str(spec.signature.inputs["times"]) == "number?"
    assert spec.batch.max == 8


def test_a_tool_says_all_that_is_wrong_with_its_folder(tmp_path: Path) -> None:
    place = folder(tmp_path / "whisper", tool_yaml=TOOL + "environment: needs.txt\n")
    with pytest.raises(AuthorError) as caught:
        read_tool(place)
    assert faults(caught.value, tmp_path) == [
        "whisper/tool.yaml:1:7: name is 'shout' in folder 'whisper'; a folder has the name of what it holds",
        "whisper: the tool has no worker.py; add the file that runs it, or remove it",
        "whisper/tool.yaml:6:14: environment 'needs.txt' is not a file of the tool; add the file",
    ]


def test_a_tool_with_effects_leaves_the_key_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "send"
    folder.mkdir()
    (folder / "worker.py").touch()
    text = "{name: send, about: Sends., inputs: {idempotency_key: text}, outputs: {text: text}, effects: EFFECTS}"
    (folder / "tool.yaml").write_text(text.replace("EFFECTS", "false"))
    read_tool(folder)
    (folder / "tool.yaml").write_text(text.replace("EFFECTS", "true"))
    with pytest.raises(AuthorError, match="gets 'idempotency_key' besides its inputs; choose another name"):
        read_tool(folder)


def test_every_fault_of_a_tool_file_has_its_place(tmp_path: Path) -> None:
    text = """\
name: shout
abuot: Says a text louder.
inputs: {text: txet}
outputs:
  text: {type: text, twin: loud, tpye: text}
  loud: 3
batch: {max: 0, wait: 5}
languages: en
"""
    place = folder(tmp_path / "shout", tool_yaml=text, worker_py="")
    with pytest.raises(AuthorError) as caught:
        read_tool(place)
    kinds = "text, image, audio, masks, boxes, points, segments, number, flag, data, latent(SPACE)"
    assert faults(caught.value, tmp_path) == [
        "shout/tool.yaml:1:1: the file has no 'about'; add about:",
        "shout/tool.yaml:2:1: unknown key 'abuot'; did you mean 'about'?",
        f"shout/tool.yaml:3:16: inputs.text: 'txet' is not a port type; did you mean 'text'? a type is one of {kinds}, "
        'in a list as "[image]", optional as "number?"',
        "shout/tool.yaml:5:34: unknown key 'tpye' in outputs.text; did you mean 'type'?",
        "shout/tool.yaml:6:9: outputs.loud is the number 3; write text or a mapping with type",
        "shout/tool.yaml:7:14: batch.max is the number 0; write at least 1",
        "shout/tool.yaml:7:17: unknown key 'wait' in batch; did you mean 'wait_ms'?",
        "shout/tool.yaml:8:12: languages is text 'en'; write a list",
    ]


@pytest.mark.parametrize(
    ("outputs", "said"),
    [
        ('{a: {type: latent(x.y), twin: b}}', "twin 'b' is not an output; add b: text to outputs"),
        ('{a: {type: latent(x.y), twin: b}, b: number}', "twin 'b' is number; a twin is text, and a list's a list"),
        ('{a: {type: text, twin: b}, b: text}', "output 'a' is text and has a twin; only a latent has one"),
    ],
)  # fmt: skip
def test_a_twin_is_a_text_output_of_the_same_tool(tmp_path: Path, outputs: str, said: str) -> None:
    place = folder(
        tmp_path / "see", tool_yaml=f"name: see\nabout: Sees.\ninputs: {{}}\noutputs: {outputs}\n", worker_py=""
    )
    with pytest.raises(AuthorError) as caught:
        read_tool(place)
    assert [f"{fault.found}; {fault.right}" for fault in caught.value.faults] == [said]
    assert caught.value.faults[0].line == 4


def test_an_agent_is_a_folder_with_a_prompt(tmp_path: Path) -> None:
    place = folder(tmp_path / "poet", agent_yaml="name: poet\nabout: Writes verse.\n", prompt_md="Write verse. é")
    spec, prompt = read_agent(place)
    assert prompt == "Write verse. é"
    assert list(spec.signature.inputs) == ["request", "image", "audio", "history"]


def test_an_agent_without_a_prompt_is_told_so(tmp_path: Path) -> None:
    place = folder(tmp_path / "poet", agent_yaml="name: bard\nabout: Writes verse.\n")
    with pytest.raises(AuthorError) as caught:
        read_agent(place)
    assert faults(caught.value, tmp_path) == [
        "poet/agent.yaml:1:7: name is 'bard' in folder 'poet'; a folder has the name of what it holds",
        "poet/prompt.md: the agent has no prompt.md; add its prompt",
    ]


def test_an_agent_gives_the_sentences_of_its_answer(tmp_path: Path) -> None:
    written = 'name: poet\nabout: Tells.\noutputs: {answer: text, sentences: "[text]"}\n'
    spec, _ = read_agent(folder(tmp_path / "poet", agent_yaml=written, prompt_md="Tell."))
    assert spec.has_sentences


@pytest.mark.parametrize(
    ("outputs", "said"),
    [
        ('answer: text, verses: "[text]"', r"output 'verses' is \[text\], which an agent cannot fill"),
        ('answer: text, sentences: "[image]"', r"output 'sentences' is \[image\], which an agent cannot fill"),
        ('verse: text, sentences: "[text]"', "holds the sentences of the answer; add answer: text"),
    ],
)
def test_an_agent_gives_no_other_list(tmp_path: Path, outputs: str, said: str) -> None:
    written = f"name: poet\nabout: Tells.\noutputs: {{{outputs}}}\n"
    with pytest.raises(AuthorError, match=said):
        read_agent(folder(tmp_path / "poet", agent_yaml=written, prompt_md="Tell."))


def test_a_prompt_is_utf_8(tmp_path: Path) -> None:
    place = folder(tmp_path / "poet", agent_yaml="name: poet\nabout: Writes verse.\n")
    (place / "prompt.md").write_bytes(b"one\ntwo \xff")
    with pytest.raises(AuthorError, match=r"prompt\.md:2:5: byte 0xff is not UTF-8"):
        read_agent(place)


def test_a_project_keeps_its_environment_variables_unread(tmp_path: Path) -> None:
    path = tmp_path / "sensorium.yaml"
    path.write_text(
        "sensorium: 1\nname: mine\nprofiles:\n  fast:\n    tools: {see: {device: '${env:SEE_DEVICE}'}}\n"
        "checkpoints:\n  tiny.en:\n    about: Small.\n    licence: MIT\n    files: [{name: a.bin, sha256: "
        f"'{'0' * 64}', bytes: 1}}]\n    places: [{{path: '${{env:WEIGHTS}}/a'}}]\n"
    )
    project = read_project(path)
    device = project.profiles["fast"].tools["see"].device
    assert device == "${env:SEE_DEVICE}"
    assert expand_environment(device, {"SEE_DEVICE": "cuda:1"}) == "cuda:1"
    with pytest.raises(AuthorError, match="environment variable 'SEE_DEVICE' is not set"):
        expand_environment(device, {})


def test_a_place_says_what_it_lacks(tmp_path: Path) -> None:
    path = tmp_path / "sensorium.yaml"
    path.write_text(
        "sensorium: 1\nname: mine\ncheckpoints:\n  tiny:\n    about: Small.\n    licence: MIT\n"
        f"    files: [{{name: a.bin, sha256: '{'0' * 64}', bytes: 1}}]\n"
        "    places:\n      - {hub: org/model}\n      - {wheel: some-weights, version: 1.0, members: {a.bin: a}}\n"
    )
    with pytest.raises(AuthorError) as caught:
        read_project(path)
    assert [str(fault).removeprefix(f"{path}:") for fault in caught.value.faults] == [
        "9:9: checkpoints.tiny.places.0 has no 'revision'; add revision:",
        "10:40: checkpoints.tiny.places.1.version is the number 1; write text, in quotes",
    ]


def test_python_names_of_keys_are_no_keys_of_files() -> None:
    with pytest.raises(AuthorError, match=r"4:22: unknown key 'with_' in nodes.say; did you mean 'with'\?"):
        parse_graph(
            "name: g\ninputs: {a: text}\nnodes:\n  say: {tool: speak, with_: {text: $a}}\noutputs: {b: $say.audio}\n"
        )


def test_a_graph_of_a_project_has_the_name_of_its_file(tmp_path: Path) -> None:
    text = "name: one\nnodes: {say: {tool: speak, with: {text: hello}}}\noutputs: {speech: $say.audio}\n"
    place = folder(tmp_path / "graphs", two_yaml=text, one_yaml=text)
    assert read_graph(place / "one.yaml").spec.name == "one"
    with pytest.raises(AuthorError, match=r"two\.yaml:1:7: name is 'one' in file 'two.yaml'; call the file one\.yaml"):
        read_graph(place / "two.yaml")
