"""human-input: what a person says, asked for by a prompt. Runs inline, pure; waits where nobody has answered.

The answer is an input like any other, so it is part of what later results are kept under.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from graphport.contracts.node import PortSpec
from graphport.core.errors import InputAwaited
from graphport.graph.authoring import node, node_type_of

_PROMPT: Final = "Please provide input"


@node(
    inputs=[
        PortSpec(name="prompt", type="string", default=_PROMPT, description="What the person is asked."),
        PortSpec(name="user_response", description="The answer; one that is given to the session comes here."),
        PortSpec(name="user_input", description="The answer, if there is no `user_response`."),
        PortSpec(name="default", description="The answer of nobody, with `auto_accept`."),
        PortSpec(name="auto_accept", type="boolean", default=False, description="Take `default` and do not wait."),
    ],
    outputs=[
        PortSpec(name="prompt", type="string", description="The prompt."),
        PortSpec(name="value", description="The answer."),
        PortSpec(name="input", description="The answer, as other engines call it."),
    ],
    category="input",
    execution="inline",
    content_digest=True,
    trusted=True,
)
def human_input(
    prompt: str = _PROMPT,
    user_response: Any = None,
    user_input: Any = None,
    default: Any = None,
    auto_accept: bool = False,
) -> dict[str, Any]:
    """Gives what a person answers; until somebody has, demands wait or fail.

    Raises:
        NodeError: `waiting_for_input` while there is no answer.
    """
    prompt = _PROMPT if prompt is None else prompt
    answers = (user_response, user_input, default if auto_accept else None)
    answer = next((each for each in answers if each is not None), None)
    if answer is None:
        raise InputAwaited(prompt)
    return {"prompt": prompt, "value": answer, "input": answer}


NODE = replace(node_type_of(human_input), answer_port="user_response")
