from __future__ import annotations

import json
from typing import TYPE_CHECKING

from graphport.graph.describe import describe
from graphport.nodes import CORE_NODES

if TYPE_CHECKING:
    from collections.abc import Callable

    from typer.testing import Result

    Call = Callable[..., Result]


def test_every_type_has_a_line(call: Call) -> None:
    result = call("nodes")

    assert (result.exit_code, result.stderr) == (0, "")
    assert [line.split()[0] for line in result.stdout.splitlines()] == sorted(CORE_NODES)


def test_own_types_are_among_them(call: Call) -> None:
    result = call("nodes", "--nodes", "cli_nodes")

    assert {"shout", "measure", "fail", "spell"} <= {line.split()[0] for line in result.stdout.splitlines()}
    assert result.stderr == "said while imported\n"


def test_a_named_type_is_shown_with_its_ports(call: Call) -> None:
    result = call("nodes", "shout", "spell", "--nodes", "cli_nodes")

    assert (result.exit_code, result.stdout) == (
        0,
        "shout  (other, version 1, volatile, thread)\n"
        "  inputs\n"
        "    text     string, required\n"
        "    seconds  number, default 0.0\n"
        "  outputs\n"
        "    value  string\n"
        "\n"
        "spell  (other, version 1, pure, async)\n"
        "  inputs\n"
        "    text    string, required\n"
        '    ending  string, default ""\n'
        "  outputs\n"
        "    text  string, stream\n"
        "\n",
    )


def test_json_is_what_describe_says(call: Call) -> None:
    every = json.loads(call("nodes", "--json").stdout)
    one = json.loads(call("nodes", "merge", "--json").stdout)

    assert every == [describe(CORE_NODES[name]().spec) for name in sorted(CORE_NODES)]
    assert one == [describe(CORE_NODES["merge"]().spec)]


def test_an_unknown_type_is_wrong_usage(call: Call) -> None:
    result = call("nodes", "merg")

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "graphport: There is no node type 'merg'. Did you mean 'merge'?\n"


def test_a_module_without_nodes_is_wrong_usage(call: Call) -> None:
    result = call("nodes", "--nodes", "json")

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("graphport: the module 'json' declares no node")
