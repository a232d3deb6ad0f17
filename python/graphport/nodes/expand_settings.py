"""expand-settings: the values of a model's settings, from their descriptions and what overrides them. Inline, pure.

Which settings there are depends on the model, but a node's ports must be known before anything runs, or no edge could
be checked. So the values leave through one port, as a map by key, and `json-filter` picks single ones.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any, Final, TypedDict

from graphport.contracts.node import PortSpec
from graphport.core.errors import NodeError
from graphport.graph.authoring import node, node_type_of
from graphport.graph.port_types import check_value, shown

# By which of its keys an allowed value may be called.
_LABELS: Final = ("label", "name", "key")


class Expanded(TypedDict):
    """The outputs."""

    inference_settings: list[Any]
    values: dict[str, Any]


@node(
    inputs=[
        PortSpec(
            name="inference_settings",
            type="json",
            required=True,
            description="A list of maps: `key`, and if known `default` and `constraints` "
            "(`min`, `max`, `allowed_values`).",
        ),
        PortSpec(name="overrides", type="json", default={}, description="A map of key to value, or to a label."),
    ],
    outputs=[
        PortSpec(name="inference_settings", type="json", description="The descriptions as they were given."),
        PortSpec(name="values", type="map", description="Key to value; settings without a value are left out."),
    ],
    category="data",
    execution="inline",
    trusted=True,
)
def expand_settings(inference_settings: Any, overrides: Any) -> Expanded:
    """Gives each of a model's settings its value: the one that overrides it, else its default.

    A value of the form `{label, value}` is its value, and a text that is the label of an allowed value is that
    value. Null does not override. To use one setting, send `values` through a json-filter whose path is its key.

    Raises:
        NodeError: `invalid_input` if the descriptions or the overrides are not of their shape, two settings have one
            key, an override names no setting, or its value is not allowed.
    """
    overrides = {} if overrides is None else overrides
    if not isinstance(overrides, dict):
        raise _wrong(f"`overrides` should be a map, got {shown(overrides)}")
    settings = _by_key(inference_settings)
    for key in overrides:
        if key not in settings:
            raise _unknown(key, settings)
    values = {}
    for key, setting in settings.items():
        given = overrides.get(key)
        value = _resolved(setting, setting.get("default") if given is None else given)
        if given is not None:
            _check(key, setting, value)
        if value is not None:
            values[key] = value
    return {"inference_settings": inference_settings, "values": values}


def _by_key(descriptions: Any) -> dict[str, dict[str, Any]]:
    if not isinstance(descriptions, list | tuple):
        raise _wrong(f"`inference_settings` should be a list of maps, got {shown(descriptions)}")
    settings: dict[str, dict[str, Any]] = {}
    for place, one in enumerate(descriptions):
        key = one.get("key") if isinstance(one, dict) else None
        if not isinstance(key, str) or not key:
            raise _wrong(f"setting {place} should be a map with a `key`, got {shown(one)}")
        if key in settings:
            raise _wrong(f"two settings have the key {key!r}")
        if not isinstance(_constraints(one), dict) or not isinstance(_allowed(one), list | tuple):
            raise _wrong(f"the constraints of {key!r} should be a map, and its allowed values a list")
        settings[key] = one
    return settings


def _constraints(setting: dict[str, Any]) -> Any:
    found = setting.get("constraints")
    return {} if found is None else found


def _allowed(setting: dict[str, Any]) -> Any:
    found = _constraints(setting).get("allowed_values")
    return () if found is None else found


def _resolved(setting: dict[str, Any], value: Any) -> Any:
    """The value that is meant by a value, a `{label, value}` or a label."""
    if isinstance(value, dict) and "label" in value and "value" in value:
        value = value["value"]
    if isinstance(value, str):
        for option in _allowed(setting):
            if isinstance(option, dict) and "value" in option and _label(option) == value:
                return option["value"]
    return value


def _label(option: dict[str, Any]) -> Any:
    return next((option[name] for name in _LABELS if option.get(name) is not None), None)


def _check(key: str, setting: dict[str, Any], value: Any) -> None:
    """Hold an override against the constraints. Defaults are the library's own business."""
    choices = tuple(
        option["value"] if isinstance(option, dict) and "value" in option else option for option in _allowed(setting)
    )
    constraints = _constraints(setting)
    lowest, highest = _number(constraints.get("min")), _number(constraints.get("max"))
    problem = check_value(PortSpec(name=key, choices=choices or None, min=lowest, max=highest), value)
    if problem is not None:
        raise _wrong(f"setting {key!r}: {problem}")


def _number(value: Any) -> float | None:
    return value if type(value) in (int, float) else None


def _unknown(key: Any, settings: dict[str, Any]) -> NodeError:
    nearest = get_close_matches(str(key), settings, n=1)
    known = ", ".join(map(repr, settings)) or "none"
    guess = f"did you mean {nearest[0]!r}?" if nearest else f"there are {known}."
    return NodeError(f"expand-settings: there is no setting {shown(key)}; {guess}", code="invalid_input")


def _wrong(what: str) -> NodeError:
    return NodeError(f"expand-settings: {what}.", code="invalid_input")


NODE = node_type_of(expand_settings)
