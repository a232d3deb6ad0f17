"""Programs that run inside worker processes, one file each. The engine takes only constants from them.

Their common language: settings come as JSON in the one argument, a key for TCP in `KEY_VARIABLE`; one line of JSON
on standard output says where the worker listens; an exit status says what went wrong before that.
"""

from __future__ import annotations

from typing import Final

KEY_VARIABLE: Final = "GRAPHPORT_WORKER_KEY"
LOAD_FAILED_STATUS: Final = 3
CANNOT_RUN_STATUS: Final = 4
