"""Core nodes together, in graphs that an engine runs."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.evaluation import bench, graph, make_type
from tests.unit.nodes.golden_cases import LoadedModels

pytestmark = pytest.mark.anyio

SETTINGS = [{"key": "temperature", "default": 0.7}, {"key": "seed"}]
MODEL = {"contractVersion": 2, "engine": "llamacpp", "modelId": "tiny", "modelPath": "/tiny.gguf"}


async def test_one_setting_is_picked_by_its_key() -> None:
    loaded = graph(
        {
            "all": ("expand-settings", {"inference_settings": SETTINGS}),
            "one": ("json-filter", {"path": "temperature"}),
        },
        "all.values -> one.json",
    )

    async with bench() as made:
        made.open(loaded)

        assert await made.outputs("one") == {"value": 0.7, "found": True}
        overridden = await made.outputs("one", inputs={"all": {"overrides": {"temperature": 0}}})
        assert overridden == {"value": 0, "found": True}
        missed = await made.outputs("one", inputs={"one": {"path": "seed"}})
        assert missed == {"value": None, "found": False}


async def test_a_preview_is_streamed_to_who_demands_something_behind_it_and_again_from_the_cache() -> None:
    behind = make_type("behind", lambda inputs, _: {"value": inputs["x"]["component"]}, inputs=["x"])
    loaded = graph({"view": ("component-preview", {"component": "Card"}), "end": "behind"}, "view.rendered -> end.x")

    async with bench(behind) as made:
        made.open(loaded)
        for props in ({}, {"title": "a"}, {"title": "b"}, {"title": "b"}):
            answer = await made.demand("end", stream=True, inputs={"view": {"props": props}})

            assert answer.outputs == {"value": "Card"}
            assert [(chunk.node, chunk.port, chunk.value) for chunk in answer.chunks] == [
                ("view", "rendered", {"component": "Card", "props": props})
            ]


async def test_a_model_is_unloaded_anew_by_each_demand() -> None:
    loaded = graph({"free": ("unload-model", {"model_ref": MODEL, "trigger": "go"})})

    async with bench(services={"inference": LoadedModels({"/tiny.gguf": 1})}) as made:
        made.open(loaded)
        first, second = await made.outputs("free"), await made.outputs("free")

    assert (first["workers_stopped"], second["workers_stopped"]) == (1, 0)
    assert first["trigger_passthrough"] == "go"


async def test_a_models_name_comes_from_data_then_setting_then_default() -> None:
    async def name(data: dict[str, Any], **settings: Any) -> Any:
        async with bench() as made:
            made.open(graph({"model": ("model-provider", data)}, **settings))
            return (await made.outputs("model"))["model_name"]

    assert await name({"model_name": "a"}, model_name="b") == "a"
    assert await name({}, model_name="b") == "b"
    assert await name({}) == "llama2"


@pytest.mark.parametrize("kind", ["number-input", "boolean-input", "image-input", "audio-input"])
async def test_what_has_no_empty_value_is_a_missing_input_of_the_demand(kind: str) -> None:
    async with bench() as made:
        made.open(graph({"it": kind}))

        assert await made.fails("it") == "missing_input"


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("text-input", ""),
        ("selection-input", None),
        ("vector-input", []),
        ("linked-input", ""),
        ("masked-text-input", {"type": "masked_prompt", "segments": [{"text": "", "masked": True}]}),
        ("text-output", ""),
        ("image-output", None),
        ("audio-output", None),
        ("point-cloud-output", None),
        ("vector-output", None),
    ],
)
async def test_what_has_an_empty_value_gives_it(kind: str, value: Any) -> None:
    async with bench() as made:
        made.open(graph({"it": kind}))

        assert list((await made.outputs("it")).values()) == [value]


async def test_a_linked_value_comes_from_the_demand_before_an_edge_before_the_data() -> None:
    source = make_type("source", lambda inputs, _: {"value": "edge"})
    nodes: dict[str, Any] = {
        "s": "source",
        "by-edge": ("linked-input", {"linked_value": "data"}),
        "by-data": ("linked-input", {"linked_value": 7}),
    }

    async with bench(source) as made:
        made.open(graph({**nodes, "empty": "linked-input"}, "s.value -> by-edge.linked_value"))

        assert await made.outputs("by-edge") == {"value": "edge"}
        assert await made.outputs("by-edge", inputs={"by-edge": {"linked_value": "demand"}}) == {"value": "demand"}
        assert await made.outputs("by-data") == {"value": 7}
        assert await made.outputs("empty") == {"value": ""}
