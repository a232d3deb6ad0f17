"""loop: a graph again and again, each time with what the last time gave. Async; cached iteration by iteration."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from graphport.contracts.node import PortSpec
from graphport.core.errors import NodeError
from graphport.graph.authoring import node, node_type_of
from graphport.graph.port_types import check_value, fits, shown
from graphport.nodes._inner import HELD, given_to, listed, seed_of, shaped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphport.contracts.inner_graph import InnerGraph
    from graphport.contracts.node import NodeType
    from graphport.contracts.run_context import RunContext

_ITEM: Final = "item"
_INDEX: Final = "index"
_ITERATIONS: Final = "iterations"
_MODE: Final = PortSpec(
    name="mode",
    type="string",
    required=True,
    choices=("times", "while", "each"),
    description="What decides how often: a number, an output of the graph, or a list. In the node's data alone.",
)
_WHILE: Final = PortSpec(
    name="while",
    type="string",
    default="continue",
    description="For `while`: the output that is true for another time. In the node's data alone.",
)
_TIMES: Final = PortSpec(name="times", type="integer", required=True, min=0, description="For `times`: how often.")
_ITEMS: Final = PortSpec(name="items", type="list", required=True, description="For `each`: one item each time.")
_MOST: Final = PortSpec(
    name="max_iterations", type="integer", default=1000, min=1, description="How often at most; more is an error."
)
_COUNT: Final = PortSpec(name=_ITERATIONS, type="integer", description="How often the graph was evaluated.")


def _optional(port: PortSpec) -> PortSpec:
    """As the page of the node shows it: which ports a node has hangs on its mode."""
    return port.model_copy(update={"required": False, "default": None})


@node(
    type="loop",
    inputs=[HELD, _MODE, _WHILE, _optional(_TIMES), _optional(_ITEMS), _MOST],
    outputs=[_COUNT],
    category="structure",
    trusted=True,
)
async def loop(inputs: dict[str, Any]) -> None:
    """Evaluates the graph that it holds again and again.

    An output of the graph that has the name of an input is carried: what it gave is the input of the next time, and
    what this node is given is that of the first. The graph is given the number of times before as its input `index`,
    and in mode `each` an item of the list as `item`, if it declares them; its other inputs are this node's, the same
    each time. In mode `while` it is evaluated at least once, and again as long as one of its outputs is true. The
    outputs are those of the last time; of none, what was to be carried, and null. A dead output that is carried leaves
    the value as it was.

    Raises:
        NodeError: `iterations_exceeded` if it would take more than `max_iterations`; `invalid_input` if `times`,
            `items`, `max_iterations` or what the graph gives for `while` is not of its kind; else what a node of the
            graph raises, whose `node_id` is the way to it, such as `loop/3/inner`.
    """
    raise NodeError("loop: a node of this type has the ports of the graph that it holds.", code="node_failed")


async def _evaluate(inner: InnerGraph, mode: str, going_on: str, inputs: dict[str, Any], ctx: RunContext) -> Any:
    most = _checked(_MOST, inputs["max_iterations"])
    items = listed("loop", inputs["items"]) if mode == "each" else ()
    count = {"times": lambda: _checked(_TIMES, inputs["times"]), "each": lambda: len(items)}.get(mode, lambda: None)()
    if count is not None and count > most:
        raise _exceeded(f"{count} iterations are asked for", most)
    takes = {port.name for port in inner.inputs}
    carried = [port.name for port in inner.outputs if port.name in takes]
    given, seed = given_to(inner, inputs), seed_of(inputs)
    outputs: dict[str, Any] = {name: given.get(name) for name in carried}
    done = 0
    while done != count:
        if done == most:
            raise _exceeded(f"{going_on!r} is still true", most)
        own = {_INDEX: done, _ITEM: items[done] if mode == "each" else None}
        given.update({name: value for name, value in own.items() if name in takes and (name == _INDEX or items)})
        outputs = await ctx.evaluate(inner, given, label=str(done), seed=None if seed is None else seed + done)
        done += 1
        given.update({name: outputs[name] for name in carried if name in outputs})
        _tell(ctx, done, count)
        if mode == "while" and not _is_true(going_on, outputs):
            break
    kept = {name: given.get(name) for name in carried}
    return {**{port.name: None for port in inner.outputs}, **kept, **outputs, _ITERATIONS: done}


def _tell(ctx: RunContext, done: int, count: int | None) -> None:
    if count is None:
        ctx.progress(None, f"{done} iterations")
    else:
        ctx.progress(done / count, f"{done} of {count}")


def _is_true(name: str, outputs: dict[str, Any]) -> bool:
    found = outputs.get(name)
    if found is not None and not isinstance(found, bool):
        raise NodeError(
            f"loop: the graph's {name!r} should be true or false, got {shown(found)}.", code="invalid_input"
        )
    return bool(found)


def _checked(port: PortSpec, value: Any) -> int:
    problem = check_value(port.model_copy(update={"required": True}), value)
    if problem is not None:
        raise NodeError(f"loop: `{port.name}`: {problem}.", code="invalid_input")
    return int(value)


def _exceeded(what: str, most: int) -> NodeError:
    return NodeError(
        f"loop: {what}, but `max_iterations` is {most}; raise it if the loop is to go on.", code="iterations_exceeded"
    )


def _shape(data: Mapping[str, Any], inner: InnerGraph | None) -> NodeType:
    if inner is None:
        raise NodeError("it holds no graph.", code="invalid_input")
    for port in (_MODE, _WHILE):
        given = data.get(port.name)
        problem = check_value(port, given) if given is not None or port.required else None
        if problem is not None:
            raise NodeError(f"data {port.name!r}: {problem}.", code="invalid_input")
    mode, going_on = data["mode"], data.get("while") or "continue"
    outputs = {port.name: port for port in inner.outputs}
    if _ITERATIONS in outputs:
        raise NodeError("the inner graph declares an output 'iterations', a name that loop has.", code="invalid_input")
    if mode == "while" and (going_on not in outputs or not fits(outputs[going_on].type, "boolean")):
        raise NodeError(f"the inner graph declares no boolean output {going_on!r}.", code="invalid_input")
    for port in inner.inputs:
        if port.name in outputs and not fits(outputs[port.name].type, port.type):
            text = f"{port.name!r} is carried, but as an output it is of type {outputs[port.name].type}"
            raise NodeError(f"{text}, and as an input it takes {port.type}.", code="invalid_input")
    by_mode = {"times": (_TIMES, _MOST), "each": (_ITEMS, _MOST), "while": (_MOST,)}
    filled = (_INDEX, _ITEM) if mode == "each" else (_INDEX,)
    return shaped(
        _BASE.spec,
        inner,
        partial(_evaluate, inner, mode, going_on),
        _BASE.code_digest + f"{mode}\0{going_on}".encode(),
        own=by_mode[mode],
        inputs=[port for port in inner.inputs if port.name not in filled],
        outputs=[*inner.outputs, _COUNT],
    )


_BASE: Final = node_type_of(loop)
NODE: Final = replace(_BASE, shape=_shape, holds_graph=True)
