"""A tool or an agent by itself, as a graph of one node."""

from __future__ import annotations

from typing import Any

from sensorium.spec.graph import GraphSpec, NodeSpec
from sensorium.spec.ports import Signature

__all__ = ["single_node"]


def single_node(kind: str, name: str, signature: Signature) -> GraphSpec:
    """The graph whose inputs and outputs are those of the tool or agent `name`."""
    node_name = name.removeprefix("box/")
    while node_name in signature.inputs:
        node_name = f"{node_name}-node"
    fields: dict[str, Any] = {kind: name, "with": {port: f"${port}" for port in signature.inputs}}
    return GraphSpec(
        name=name.removeprefix("box/"),
        inputs={port: str(kind_of) for port, kind_of in signature.inputs.items()},
        nodes={node_name: NodeSpec.model_validate(fields)},
        outputs={port: f"${node_name}.{port}" for port in signature.outputs},
    )
