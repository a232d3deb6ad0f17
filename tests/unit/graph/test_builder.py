"""The builder: what its calls add, take back, refuse and tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest
from tests.support.awkward_nodes import TYPES, plain_type

from graphport.contracts.node import NodeSpec, NodeType, PortSpec
from graphport.core.errors import GraphInvalid, LookupFailed
from graphport.graph.authoring import node_type_of
from graphport.graph.builder import Builder
from graphport.graph.catalogue import Catalogue
from graphport.nodes import CORE_NODES

if TYPE_CHECKING:
    from graphport.graph.builder_events import BuilderEvent

CORE: Final = Catalogue(CORE_NODES)


def builder(**options: Any) -> Builder:
    return Builder(CORE, **options)


def edges(built: Builder) -> list[str]:
    return [f"{one.source}.{one.source_handle} > {one.target}.{one.target_handle}" for one in built.draft().edges]


def refused(error: GraphInvalid) -> list[str]:
    return [fault["code"] for fault in (error.details or {})["faults"]]


def test_a_chain_is_connected_as_it_is_written() -> None:
    built = builder().text_input(text="Why?").llamacpp_inference("llm", model_path="smollm2").text_output()

    assert built.ids == ("text-input-1", "llm", "text-output-1")
    assert edges(built) == ["text-input-1.text > llm.prompt", "llm.response > text-output-1.text"]
    assert built.graph().nodes[0].data == {"text": "Why?"}


# `graph` is the builder's own word for what it has built; nodes of that type are put in by `add`.
@pytest.mark.parametrize("name", [name for name in CORE_NODES if name != "graph"])
def test_every_core_type_is_a_method(name: str) -> None:
    built = builder(auto_connect=False)

    if hasattr(Builder, name.replace("-", "_")):
        assert name == "graph", "no other name may be lost to the builder's own"
        built.add(name, "x")
    else:
        getattr(built, name.replace("-", "_"))("x")

    assert [node.type for node in built.draft().nodes] == [name]
    assert name.replace("-", "_") in dir(built)


def test_types_of_the_users_own_are_methods_unless_python_or_the_builder_has_the_name() -> None:
    catalogue = Catalogue()
    for name in TYPES:
        spec = NodeSpec(type=name)
        catalogue.register(NodeType(spec=spec, handler=lambda *_: {}, code_digest=b""))

    built = Builder(catalogue).plain_type().start().a_b()

    assert [node.type for node in built.draft().nodes] == ["plain-type", "a_b"]
    assert set(dir(built)) & set(TYPES) == {"a_b", "add", "pop", "__init__"}
    assert built.pop().add("a-b").add("class").ids == ("plain-type-1", "a-b-1", "class-1")


def test_ids_are_chosen_so_that_none_is_taken_twice() -> None:
    built = builder(auto_connect=False).text_input("text-input-2").text_input().text_input().text_output()

    assert built.ids == ("text-input-2", "text-input-1", "text-input-3", "text-output-1")
    assert built.last == "text-output-1"


def test_values_are_given_by_name_or_in_a_map() -> None:
    built = builder().text_input("a", {"label": "Question", "odd key": 1}, {"position": [1, 2], "x": 3}, text="t")

    (node,) = built.graph().nodes

    assert node.data == {"label": "Question", "odd key": 1, "text": "t"}
    assert (node.position, node.model_extra) == ([1, 2], {"x": 3})


def test_an_input_with_a_value_is_not_connected() -> None:
    assert edges(builder().text_input(text="a").text_input(text="b").text_output()) == [
        "text-input-2.text > text-output-1.text"
    ]


def test_rename_connects_outputs_to_inputs_of_other_names() -> None:
    built = builder().text_input("a", text="x").number_input("n", value=3)

    built.rename("text", "system_prompt", -2).rename("value", "prompt").llamacpp_inference(model_path="m")

    assert edges(built) == ["a.text > llamacpp-inference-1.system_prompt", "n.value > llamacpp-inference-1.prompt"]


def test_rename_takes_an_id_too() -> None:
    built = builder().text_input("a", text="x").text_input("b", text="y").rename("text", "text", "a").text_output()

    assert edges(built) == ["a.text > text-output-1.text"]


@pytest.mark.parametrize("index", [-2, 0, 1, "b"])
def test_rename_of_a_node_that_is_not_there_is_refused(index: int | str) -> None:
    with pytest.raises(LookupFailed) as caught:
        builder().text_input("a").rename("text", "prompt", index)

    assert caught.value.code == "unknown_node"


def test_rename_of_a_port_that_is_not_there_is_refused() -> None:
    built = builder().text_input("a")

    with pytest.raises(GraphInvalid, match="Did you mean 'text'") as output:
        built.rename("txt", "text")
    with pytest.raises(GraphInvalid, match="Did you mean 'text'") as input_:
        built.rename("text", "txet").text_output()

    assert refused(output.value) == refused(input_.value) == ["dangling_edge"]
    assert built.ids == ("a",)


def test_connect_says_it_all() -> None:
    built = builder(auto_connect=False).text_input("a").text_output("b").connect("a", "text", "b", "text", {"id": "e"})

    (edge,) = built.graph().edges

    assert (edge.source, edge.source_handle, edge.target, edge.target_handle) == ("a", "text", "b", "text")
    assert edge.model_extra == {"id": "e"}


@pytest.mark.parametrize(
    ("ends", "code", "guess"),
    [
        (("answr", "text", "b", "text"), "unknown_node", "Did you mean 'answer'"),
        (("answer", "text", "c", "text"), "unknown_node", "no node 'c'"),
        (("answer", "txt", "b", "text"), "dangling_edge", "Did you mean 'text'"),
        (("answer", "text", "b", "txt"), "dangling_edge", "Did you mean 'text'"),
    ],
)
def test_connect_refuses_what_is_not_there(ends: tuple[str, str, str, str], code: str, guess: str) -> None:
    built = builder().text_output("answer").text_output("b")

    with pytest.raises((LookupFailed, GraphInvalid), match=guess) as caught:
        built.connect(*ends)

    assert code in (caught.value.code, *(fault["code"] for fault in (caught.value.details or {}).get("faults", ())))
    assert len(built.draft().edges) == 1


def test_a_circle_is_refused_by_graph() -> None:
    built = builder(auto_connect=False).text_output("a").text_output("b")
    built.connect("a", "text", "b", "text").connect("b", "text", "a", "text")

    with pytest.raises(GraphInvalid) as caught:
        built.graph()

    assert refused(caught.value) == ["cycle"]
    assert len(built.to_json()["edges"]) == 2


def test_start_begins_apart() -> None:
    built = builder().text_input("a", text="x").start().text_output("b").text_output("c")

    assert edges(built) == ["b.text > c.text"]


def test_parallel_branches_begin_after_one_node_and_end_in_the_next() -> None:
    ready = builder().text_output("shown")

    built = builder().text_input(text="x").parallel(ready, lambda b: b.text_output().text_output()).merge()

    assert edges(built) == [
        "text-input-1.text > shown.text",
        "text-output-1.text > text-output-2.text",
        "text-input-1.text > text-output-1.text",
        "shown.text > merge-1.inputs",
        "text-output-2.text > merge-1.inputs",
    ]
    assert ready.ids == ("shown",)
    built.graph()


def test_branches_may_stand_at_the_beginning_or_be_empty() -> None:
    source = builder().text_input(text="x")

    assert edges(builder().parallel(source, source).merge()) == [
        "text-input-1.text > merge-1.inputs",
        "text-input-2.text > merge-1.inputs",
    ]
    assert edges(builder().text_input(text="x").parallel(lambda b: b, lambda b: b.text_output()).merge()) == [
        "text-input-1.text > text-output-1.text",
        "text-input-1.text > merge-1.inputs",
        "text-output-1.text > merge-1.inputs",
    ]


def test_branches_bring_their_settings_and_renames() -> None:
    branch = builder().settings(depth=2).text_input("p", text="x").rename("text", "system_prompt")

    built = builder().parallel(branch).llamacpp_inference(model_path="m", prompt="y")

    assert edges(built) == ["p.text > llamacpp-inference-1.system_prompt"]
    assert built.draft().settings == {"depth": 2}


def test_two_branches_with_one_given_id_are_refused_and_change_nothing() -> None:
    branch = builder().text_output("same")
    built = builder().text_input("a", text="x")

    with pytest.raises(LookupFailed) as caught:
        built.parallel(branch, branch)

    assert caught.value.code == "duplicate_id"
    assert (built.ids, edges(built)) == (("a",), [])


def test_a_branch_that_nothing_fits_is_refused_and_changes_nothing() -> None:
    built = builder().text_input("a", text="x")

    with pytest.raises(GraphInvalid) as caught:
        built.parallel(lambda b: b.text_output(), lambda b: b.image_output())

    assert refused(caught.value) == ["incompatible_ports"]
    assert (built.ids, edges(built)) == (("a",), [])


def test_pop_takes_back_step_by_step() -> None:
    built = builder().text_input("a", text="x").parallel(lambda b: b.text_output(), lambda b: b.text_output()).merge()

    built.pop()
    assert built.ids == ("a", "text-output-1", "text-output-2")
    built.pop()
    assert (built.ids, edges(built)) == (("a",), [])
    built.text_output("o")
    assert edges(built) == ["a.text > o.text"]
    assert built.pop().pop().ids == ()
    with pytest.raises(LookupFailed) as caught:
        built.pop()
    assert caught.value.code == "unknown_node"


def test_pop_brings_back_the_renames_that_its_node_had_used() -> None:
    built = builder().text_input("a", text="x").text_input("b", text="y").rename("text", "text", "a").text_output("o")

    assert edges(built.pop().text_output("p")) == ["a.text > p.text"]


def test_reset_begins_anew() -> None:
    built = builder().text_input("a", text="x").settings(s=1).about({"viewport": 1}).rename("text", "x").reset()

    assert built.to_json() == {"nodes": [], "edges": []}
    assert built.text_input().ids == ("text-input-1",)


def test_a_call_that_is_refused_changes_nothing() -> None:
    built = builder().text_input("a", text="x").settings(s=1)
    before = built.to_json()
    calls: list[tuple[type[Exception], Any]] = [
        (LookupFailed, lambda: built.text_output("a")),
        (LookupFailed, lambda: built.add("text-inptu")),
        (AttributeError, lambda: built.text_inptu()),
        (AttributeError, lambda: built._text),
        (TypeError, lambda: built.text_output(txt="x")),
        (TypeError, lambda: built.text_output("b", {"text": 1}, text=2)),
        (ValueError, lambda: built.text_output("")),
        (ValueError, lambda: built.text_output(5)),
        (GraphInvalid, lambda: built.image_output()),
        (GraphInvalid, lambda: built.unload_model()),
        (GraphInvalid, lambda: built.load({"nodes": 5})),
        (GraphInvalid, lambda: built.load({"nodes": [], "edges": [{"source": "a", "target": "b"}]})),
        (LookupFailed, lambda: built.load({"nodes": [{"id": "a", "type": "merge"}]})),
        (ValueError, lambda: built.about({"nodes": []})),
        (ValueError, lambda: built.on("chnaged", print)),
    ]

    for kind, call in calls:
        with pytest.raises(kind):
            call()

    assert built.to_json() == before
    assert edges(built.text_output("b")) == ["a.text > b.text"]


@pytest.mark.parametrize(
    ("call", "guess"),
    [
        (lambda b: b.text_inptu(), "Did you mean 'text_input'"),
        (lambda b: b.conect(), "Did you mean 'connect'"),
        (lambda b: b.add("text-inptu"), "Did you mean 'text-input'"),
        (lambda b: b.text_input(txt="x"), "Did you mean 'text'"),
        (lambda b: b.on("chnaged", print), "Did you mean 'changed'"),
    ],
)
def test_slips_are_told_what_was_meant(call: Any, guess: str) -> None:
    with pytest.raises((AttributeError, LookupFailed, TypeError, ValueError), match=guess):
        call(builder())


def test_a_graph_of_any_shape_can_be_gone_on_with() -> None:
    built = builder().load([{"id": "a", "type": "text-input", "defaults": {"text": "x"}}]).text_output("b")

    assert edges(built) == ["a.text > b.text"]
    assert built.pop().pop().ids == ()


def test_who_listens_is_told_of_changes() -> None:
    told: list[BuilderEvent] = []
    built = builder().on("changed", told.append).on("reset", told.append)

    built.text_input("a").text_output("b").connect("a", "text", "b", "text").settings(x=1).pop().reset()
    built.off("changed", told.append).off("changed", print).text_input()

    assert [(event.kind, event.node) for event in told] == [
        ("changed", "a"),
        ("changed", "b"),
        ("changed", "b"),
        ("changed", None),
        ("changed", "b"),
        ("changed", None),
        ("reset", None),
    ]


def test_a_listener_that_raises_does_not_undo_the_change() -> None:
    def angry(_event: BuilderEvent) -> None:
        raise RuntimeError("no")

    built = builder().on("changed", angry)

    with pytest.raises(RuntimeError):
        built.text_input("a")
    assert built.ids == ("a",)


def test_a_setting_fills_an_input() -> None:
    catalogue = Catalogue(CORE_NODES)
    port = PortSpec(name="depth", type="integer", required=True, setting="depth")
    spec = NodeSpec(type="deep", inputs=(port,))
    catalogue.register(NodeType(spec=spec, handler=lambda *_: {}, code_digest=b""))
    catalogue.register(node_type_of(plain_type))

    built = Builder(catalogue).settings(depth=3).text_input(text="x").deep()

    assert edges(built) == []
    built.graph()


def test_many_nodes_are_built_in_linear_time() -> None:
    built = builder().text_input(text="x")
    for _ in range(5_000):
        built.text_output()

    assert len(built) == 5_001
    assert len(built.graph().edges) == 5_000
    assert repr(built) == "<Builder: 5001 nodes, 5000 edges>"


def test_an_error_edge_can_be_connected() -> None:
    built = (
        builder(auto_connect=False)
        .text_input("a", text="x")
        .component_preview("b")
        .connect("a", "[error]", "b", "props")
    )

    (edge,) = built.graph().edges

    assert edge.source_handle == "[error]"
