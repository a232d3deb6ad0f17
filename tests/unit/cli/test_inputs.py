from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from graphport.app.local_run import LocalGraph
from graphport.cli.inputs import read_inputs
from graphport.cli.output import Misuse
from graphport.contracts.node import NodeSpec, NodeType, PortSpec
from graphport.graph.catalogue import Catalogue

if TYPE_CHECKING:
    from pathlib import Path

PORTS: dict[str, dict[str, Any]] = {
    "text": {"type": "string"},
    "prompt": {"type": "prompt"},
    "count": {"type": "integer", "min": 0},
    "flag": {"type": "boolean"},
    "data": {"type": "json"},
    "whatever": {"type": "any"},
    "raw": {"type": "bytes"},
    "many": {"type": "string", "multiple": True},
    "a.b": {"type": "string"},
}


@pytest.fixture(scope="module")
def graph() -> LocalGraph:
    inputs = tuple(PortSpec(name=name, **facts) for name, facts in PORTS.items())
    spec = NodeSpec(type="t", inputs=inputs, execution="inline")
    catalogue = Catalogue()
    catalogue.register(NodeType(spec=spec, handler=lambda _inputs, _context: {}, code_digest=b"0" * 16))
    nodes = [{"id": name, "type": "t"} for name in ("n", "x.y", "x")]
    return LocalGraph({"nodes": nodes}, catalogue)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("n.text=", ""),
        ("n.text=42", "42"),
        ("n.text=a=b", "a=b"),
        ('n.text="quoted"', '"quoted"'),
        ("n.text=@@home", "@home"),
        ("n.prompt=42", "42"),
        ("n.count=42", 42),
        ("n.flag=true", True),
        ('n.data={"a": [1]}', {"a": [1]}),
        ("n.data=no json", "no json"),
        ("n.whatever=1.5", 1.5),
        ("n.whatever=hello", "hello"),
        ("n.raw=ä", "ä".encode()),
        ("n.many=one", ["one"]),
        ("n.many=1", ["1"]),
        ('n.many=["a", "b"]', ["a", "b"]),
    ],
)
def test_a_value_is_read_as_the_port_needs_it(graph: LocalGraph, text: str, value: Any) -> None:
    port = text.partition("=")[0].partition(".")[2]

    assert read_inputs([text], graph) == {"n": {port: value}}


def test_inputs_for_several_ports(graph: LocalGraph) -> None:
    given = ["n.text=a", "n.count=1", "x.text=b"]

    assert read_inputs(given, graph) == {"n": {"text": "a", "count": 1}, "x": {"text": "b"}}


def test_a_port_of_many_values_may_be_given_again(graph: LocalGraph) -> None:
    assert read_inputs(["n.many=a", "n.many=b"], graph) == {"n": {"many": ["a", "b"]}}


@pytest.mark.parametrize(
    ("text", "node", "port"), [("x.y.text=1", "x.y", "text"), ("n.a.b=1", "n", "a.b"), ("x.y.a.b=1", "x.y", "a.b")]
)
def test_ids_and_ports_may_have_dots(graph: LocalGraph, text: str, node: str, port: str) -> None:
    assert read_inputs([text], graph) == {node: {port: "1"}}


def test_a_file_is_read(graph: LocalGraph, tmp_path: Path) -> None:
    (tmp_path / "f").write_text('{"a": 1}\n')

    given = [f"n.{port}=@{tmp_path / 'f'}" for port in ("text", "data", "raw")]

    assert read_inputs(given, graph)["n"] == {"text": '{"a": 1}\n', "data": {"a": 1}, "raw": b'{"a": 1}\n'}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["n.text"], "--input takes node.port=value, got 'n.text'."),
        (["text=1"], "--input takes node.port=value, got 'text' before the sign =."),
        (["m.text=1"], "The graph has no node 'm'."),
        (["x.yy.text=1"], "The node 'x' has no input 'yy.text'; it has: " + ", ".join(PORTS) + ". "
         "Did you mean 'text'?"),
        (["n.zzz=1"], "The node 'n' has no input 'zzz'; it has: " + ", ".join(PORTS) + "."),
        (["n.count=many"], "--input n.count: expected an integer, got 'many'."),
        (["n.count=-1"], "--input n.count: expected at least 0, got -1."),
        (["n.flag=1"], "--input n.flag: expected true or false, got 1."),
        (["n.text=a", "n.text=b"], "--input n.text is given twice."),
        (["n.text=@/no/such/file"], "--input n.text: /no/such/file cannot be read: No such file or directory."),
    ],
)  # fmt: skip
def test_a_mistake_is_a_sentence(graph: LocalGraph, given: list[str], sentence: str) -> None:
    with pytest.raises(Misuse) as raised:
        read_inputs(given, graph)

    assert raised.value.message == sentence


def test_a_file_that_is_no_text_is_a_mistake(graph: LocalGraph, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"\xff")

    with pytest.raises(Misuse, match="is no UTF-8 text"):
        read_inputs([f"n.text=@{tmp_path / 'f'}"], graph)
