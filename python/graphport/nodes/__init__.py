"""The core nodes, one file per node. `CORE_NODES` loads one when it is first asked for.

Must not reach up: what a node needs of the engine, its run context gives. Handed to the catalogue by `app`.
"""

from graphport.nodes._index import CORE_NODES

__all__ = ["CORE_NODES"]
