"""The commands as typer sees them: names, arguments and help. Each calls the file that does it.

Imported only where typer and rich are installed; `port` never comes this way. Called by `cli.main`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from graphport.cli.output import FAILED, complain, status_of
from graphport.core.errors import GraphportError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_STATUS_RUN: Final = "Exit status: 0 answered; 1 the graph has faults or the demand failed; 2 wrong usage; 130 Ctrl-C."
_STATUS_CHECK: Final = "Exit status: 0 no faults; 1 faults, each with its place; 2 wrong usage."
_STATUS_DOCTOR: Final = (
    "Exit status: 0 a graph with a local model can run here; 1 what that needs is missing (xllamacpp, a model). "
    "What is marked `optional` does not count."
)
_STATUS: Final = "Exit status: 0 done; 1 it failed; 2 wrong usage."

Graph = Annotated[str, typer.Argument(metavar="GRAPH", help="A file with a graph in JSON; - is standard input.")]
Nodes = Annotated[
    list[str] | None,
    typer.Option("--nodes", metavar="MODULE", help="A Python module with your own nodes. May be given several times."),
]
Json = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]

app = typer.Typer(
    name="graphport",
    help="Runs workflow graphs for Elixir and Phoenix apps.",
    epilog=_STATUS,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
models_app = typer.Typer(help="Small models to try things with.", no_args_is_help=True)
app.add_typer(models_app, name="models")


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit status."""
    try:
        app(args=list(arguments), prog_name="graphport")
    except SystemExit as ending:
        return ending.code if isinstance(ending.code, int) else 1
    return 0


def _finish(do: Callable[[], int]) -> None:
    """End with the status of what was done. An error of ours is a sentence; anything else is a fault of graphport."""
    try:
        status = do()
    except GraphportError as error:
        complain(error.message)
        status = status_of(error)
    except OSError as error:
        # What we read is dealt with where it is read: this is our own output, a full disk for example.
        complain(f"the output cannot be written: {error.strerror or error}")
        status = FAILED
    raise typer.Exit(status)


def _show_version(wanted: bool) -> None:
    if wanted:
        from graphport.core.version import VERSION

        typer.echo(f"graphport {VERSION}")
        raise typer.Exit


@app.callback()
def graphport(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    """Runs workflow graphs for Elixir and Phoenix apps."""


@app.command("run", epilog=_STATUS_RUN)
def run_command(
    graph: Graph,
    demand: Annotated[
        str | None,
        typer.Option("--demand", metavar="NODE", help="The node wanted. Default: the only one nothing reads."),
    ] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            metavar="NODE.PORT=VALUE",
            help="A value for an input port: text for ports of text, else JSON if it is JSON. @FILE reads a file; "
            "@@ is an @ of the text's own. May be given several times.",
        ),
    ] = None,
    nodes: Nodes = None,
    deadline: Annotated[
        float | None, typer.Option("--deadline", metavar="SECONDS", min=0.001, help="Give up after so many seconds.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Draw new seeds; else a run can be repeated.")] = False,
    cache: Annotated[
        str | None,
        typer.Option(
            "--cache",
            metavar="PATH",
            help="Keep results of slow nodes for the next run: in an SQLite file if PATH ends in .db or .sqlite, else "
            "in a folder.",
        ),
    ] = None,
    no_stream: Annotated[bool, typer.Option("--no-stream", help="Show no text before the answer is complete.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="An object per line: chunks, then the answer.")] = False,
    traceback: Annotated[bool, typer.Option("--traceback", help="Show where in Python a node failed.")] = False,
    draw: Annotated[
        str | None,
        typer.Option("--draw", metavar="FILE", help="Draw the run: Mermaid into a .mmd file, DOT into a .dot file."),
    ] = None,
) -> None:
    """Demand a node of a graph and show the answer, streamed text as it is made.

    The text goes to standard output, all else, also what nodes print, to standard error.
    """
    from graphport.cli.run import RunOptions, run

    options = RunOptions(
        path=graph,
        demand=demand,
        inputs=tuple(inputs or ()),
        node_modules=tuple(nodes or ()),
        deadline_ms=None if deadline is None else max(1, round(deadline * 1000)),
        fresh=fresh,
        cache=cache,
        stream=not no_stream,
        as_json=as_json,
        traceback=traceback,
        draw=draw,
    )
    _finish(lambda: run(options))


@app.command("check", epilog=_STATUS_CHECK)
def check_command(graph: Graph, nodes: Nodes = None, as_json: Json = False) -> None:
    """Say everything that is wrong with a graph, and where.

    Reads graphs as Graphport, React Flow, Pantograph and Workglow save them.
    """
    from graphport.cli.check import check

    _finish(lambda: check(graph, nodes or (), as_json=as_json))


@app.command("convert", epilog=_STATUS_CHECK)
def convert_command(
    graph: Graph,
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="FORM",
            help="json (Graphport's own), workglow-json, dependency-json, python, mermaid or dot.",
        ),
    ],
    nodes: Nodes = None,
    as_json: Json = False,
) -> None:
    """Write a graph in another form: as JSON of several kinds, as a program, or as a drawing.

    Reads graphs as Graphport, React Flow, Pantograph and Workglow save them. What the nodes mean is not judged: see
    `check`.
    """
    from graphport.cli.convert import convert

    _finish(lambda: convert(graph, to, nodes or (), as_json=as_json))


@app.command("nodes", epilog=_STATUS)
def nodes_command(
    types: Annotated[
        list[str] | None, typer.Argument(metavar="[TYPE]...", help="Types to show with their ports.")
    ] = None,
    nodes: Nodes = None,
    as_json: Json = False,
) -> None:
    """List the node types that graphs can use, or show the ports of some."""
    from graphport.cli.nodes import show_nodes

    _finish(lambda: show_nodes(types or (), nodes or (), as_json=as_json))


@models_app.command("list", epilog=_STATUS)
def models_list_command(as_json: Json = False) -> None:
    """List the models that graphs can use by name, and those that can be installed."""
    from graphport.cli.models import show_list

    _finish(lambda: show_list(as_json=as_json))


@models_app.command("install", epilog=_STATUS)
def models_install_command(
    name: Annotated[str, typer.Argument(help="For example smollm2.")], as_json: Json = False
) -> None:
    """Download a model, check it, and put it where graphs find it by name."""
    from graphport.cli.models import install

    _finish(lambda: install(name, as_json=as_json))


@app.command("doctor", epilog=_STATUS_DOCTOR)
def doctor_command(as_json: Json = False) -> None:
    """Say what is installed, what is missing, and how to get it."""
    from graphport.cli.doctor import show_doctor

    _finish(lambda: show_doctor(as_json=as_json))


@app.command("port", add_help_option=False, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def port_command(context: typer.Context) -> None:
    """Be an engine; started by the Elixir library."""
    from graphport.cli import port

    _finish(lambda: port.main(context.args))
