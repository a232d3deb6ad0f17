"""Node types that the host runs, made of what it declares when it says hello.

A host node is an `async` node whose work is one call to the host: so it joins, is cancelled, times out and streams like
any other. Must not know how the host is reached. Called by whoever composes the engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from graphport.contracts.node import NodeSpec, NodeType
from graphport.core.errors import InternalError, LookupFailed
from graphport.graph.digest import xxh3

if TYPE_CHECKING:
    from graphport.contracts.host import HostCaller

_CODE: Final = "code"
_SHOWN_FAULTS: Final = 5


def host_types(declared: Any) -> list[NodeType]:
    """The node types that the host declares.

    Args:
        declared: a list of maps with the fields of `NodeSpec`, all but `execution`, and `code`: a text that changes
            when the host's code does.

    Raises:
        LookupFailed: `invalid_nodes` if one of them is not as described, or two have one name.
    """
    if not isinstance(declared, list):
        raise _invalid(f"host_nodes: expected a list of node types, got {type(declared).__name__}")
    types = [_host_type(each) for each in declared]
    names = [node_type.spec.type for node_type in types]
    for name in names:
        if names.count(name) > 1:
            raise _invalid(f"the host declares two node types {name!r}; names must differ")
    return types


def _host_type(declared: Any) -> NodeType:
    if not isinstance(declared, dict):
        raise _invalid(f"host_nodes: expected a map, got {type(declared).__name__}")
    fields = {name: value for name, value in declared.items() if name != _CODE}
    code = declared.get(_CODE, "")
    if not isinstance(code, str):
        raise _invalid("host_nodes: `code` should be text")
    try:
        spec = NodeSpec.model_validate({**fields, "execution": "host"})
    except ValidationError as error:
        raise _invalid(f"the host's node type {str(declared.get('type'))[:80]!r}: {_faults(error)}") from None
    for ports, kind in ((spec.inputs, "input"), (spec.outputs, "output")):
        taken = [port.name for port in ports]
        repeated = sorted({name for name in taken if taken.count(name) > 1})
        if repeated:
            raise _invalid(f"the host's node type {spec.type!r} has two {kind} ports {repeated[0]!r}")
    # It only sends its inputs away, so it may be given what others hold.
    return NodeType(spec=spec, handler=_call, code_digest=xxh3(code.encode()), trusted=True)


def _faults(error: ValidationError) -> str:
    # Without the values: a default may be anything.
    found = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()[:_SHOWN_FAULTS]]
    return "; ".join(found)


def _invalid(text: str) -> LookupFailed:
    return LookupFailed(text, code="invalid_nodes")


async def _call(inputs: dict[str, Any], context: Any) -> dict[str, Any]:
    host: HostCaller | None = context.host
    if host is None:
        raise InternalError(f"there is no host to run {context.node_type!r}")
    return await host.call(context.demand, inputs, context)
