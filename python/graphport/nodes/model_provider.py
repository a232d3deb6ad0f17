"""model-provider: says by name which model other nodes are to use. Runs inline, pure."""

from __future__ import annotations

from typing import Any, TypedDict

from graphport.contracts.node import PortSpec
from graphport.graph.authoring import node, node_type_of
from graphport.nodes._values import text_of


class Provided(TypedDict):
    """The outputs."""

    model_name: str
    model_info: dict[str, Any]


@node(
    inputs=[
        PortSpec(
            name="model_name",
            type="string",
            default="llama2",
            setting="model_name",
            description="Name of an installed model, or the path of its file.",
        )
    ],
    outputs=[
        PortSpec(name="model_name", type="string", description="The name as it was given."),
        PortSpec(name="model_info", type="map", description='`name`, and `model_type`, which is "llm".'),
    ],
    category="input",
    execution="inline",
    trusted=True,
)
def model_provider(model_name: Any) -> Provided:
    """Gives the name of a model, for instance to the port `model_path` of llamacpp-inference.

    Nobody looks whether there is such a model: the node that uses it does.

    Raises:
        NodeError: `missing_input` if an edge brings null; `invalid_input` if the name is blank or no text.
    """
    name = text_of(model_name, "model-provider", "model_name", "the name of a model")
    return {"model_name": name, "model_info": {"name": name, "model_type": "llm"}}


NODE = node_type_of(model_provider)
