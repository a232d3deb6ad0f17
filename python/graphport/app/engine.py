"""`graphport port`: makes this process an engine.

The order matters: the wire is taken before anything of the user's is imported. Called by `cli`.
"""

from __future__ import annotations

import importlib
import logging
import os
import signal
import sys
import traceback
from typing import TYPE_CHECKING, Any, NoReturn

from graphport.core.errors import GraphportError, LookupFailed
from graphport.server.descriptors import capture_output, take_wire

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphport.app.chosen_gateway import ChosenGateway
    from graphport.app.services import Services
    from graphport.contracts.sink import DemandSink
    from graphport.demand.evaluator import Evaluator
    from graphport.graph.catalogue import Catalogue

_log = logging.getLogger("graphport.engine")


def run_port(node_modules: Sequence[str], *, stdio: bool) -> int:
    """Serve the wire until it ends; returns the exit status.

    Args:
        node_modules: importable modules whose decorated functions become node types.
        stdio: use fds 0 and 1 for the wire instead of 3 and 4.
    """
    try:
        wire = take_wire(stdio=stdio)
    except OSError:
        fds = "0 and 1" if stdio else "3 and 4"
        sys.stderr.write(
            f"graphport port speaks a binary protocol on file descriptors {fds}, which are not open. "
            "It is started by the Elixir library, not by hand.\n"
        )
        return 64
    captured = capture_output()

    from graphport.process.forks import end_forks_with_us
    from graphport.process.parent_death import set_parent_death_signal
    from graphport.server.loop import LastWords, new_loop, run_to_its_end
    from graphport.server.serve import serve

    if not set_parent_death_signal():
        return 0  # whoever started this engine has gone already
    end_forks_with_us()
    # Ctrl-C in a terminal goes to the whole group; the BEAM decides what it means. A handler, because an ignored signal
    # would stay ignored in every child process.
    signal.signal(signal.SIGINT, lambda *_: None)
    sys.setswitchinterval(0.0005)
    composition = Composition(node_modules)
    last_words = LastWords()
    serving = serve(wire, captured, stdio=stdio, start=composition.start, stop=composition.stop, last_words=last_words)
    try:
        return run_to_its_end(new_loop(), serving, last_words)
    finally:
        logging.shutdown()


class Composition:
    """An evaluator's parts, made when they are first asked for and stopped at the end.

    Args:
        node_modules: modules of the user's node types.
        catalogue: the node types, if they have been loaded already.
    """

    def __init__(self, node_modules: Sequence[str], catalogue: Catalogue | None = None) -> None:
        self._node_modules = node_modules
        self._catalogue = catalogue
        self._gateway: ChosenGateway | None = None
        self._backend: str | None = None
        self._services: Services | None = None

    @property
    def catalogue(self) -> Catalogue:
        """The node types; raises what `load_catalogue` does."""
        if self._catalogue is None:
            self._catalogue = load_catalogue(self._node_modules)
        return self._catalogue

    def start(self, sink: DemandSink, options: dict[str, Any]) -> Evaluator:
        """Make the evaluator, on the loop's thread.

        Args:
            sink: takes what demands answer.
            options: `backend` names the model backend to use; `cache` is described in `app.cache`; `host_nodes`
                declares node types that the host runs, which take the place of others of their name; other names
                mean nothing.

        Raises:
            GraphportError: the node types cannot be loaded, or the cache's store cannot be opened.
        """
        from graphport.app.cache import opened
        from graphport.app.services import Services
        from graphport.demand.evaluator import Evaluator

        backend = options.get("backend")
        self._backend = None if backend is None else str(backend)
        catalogue = self.catalogue
        declared = options.get("host_nodes")
        if declared is not None:
            from graphport.demand.host import host_types

            for node_type in host_types(declared):
                catalogue.register(node_type, shadow=True)
        cache = opened(options.get("cache"))
        self._services = Services(self._inference, catalogue.services or {})
        return Evaluator(catalogue, sink, services=self._services, memo=cache.memo, store=cache.store)

    def _inference(self) -> ChosenGateway:
        if self._gateway is None:
            from graphport.app.chosen_gateway import ChosenGateway

            self._gateway = ChosenGateway(self._backend)
        return self._gateway

    async def stop(self) -> None:
        """End what the services have started."""
        if self._services is not None:
            await self._services.close()
        if self._gateway is not None:
            await self._gateway.close()


def load_catalogue(node_modules: Sequence[str]) -> Catalogue:
    """Core node types and those of the user's modules.

    Raises:
        LookupFailed: `invalid_nodes` if a module cannot be imported or declares no node, `duplicate_id` if two
            types or services share a name.
    """
    from graphport.graph.authoring import node_types_of
    from graphport.graph.catalogue import Catalogue
    from graphport.graph.services import services_of
    from graphport.nodes._index import CORE_NODES

    catalogue = Catalogue(CORE_NODES)
    catalogue.services = {}
    for name in node_modules:
        try:
            module = importlib.import_module(name)
        except GraphportError:
            raise
        except (Exception, SystemExit) as error:  # whatever the module does while it is imported
            raise LookupFailed(
                f"the module {name!r} of node types could not be imported: {type(error).__name__}: {error}",
                code="invalid_nodes",
                exception_name=type(error).__name__,
                traceback_text=traceback.format_exc()[-8_192:],
            ) from error
        found = node_types_of(module)
        services = services_of(module)
        if not found and not services:
            raise LookupFailed(
                f"the module {name!r} declares no node: decorate a function with @graphport.node or @graphport.service",
                code="invalid_nodes",
            )
        for node_type in found:
            catalogue.register(node_type)
        for service, factory in services.items():
            catalogue.add_service(service, factory)
    return catalogue


def leave(status: int) -> NoReturn:
    """End the process now: node threads that never return must not hold it."""
    os._exit(status)
