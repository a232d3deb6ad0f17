"""ErlPort's Python package under its own name.

The Erlang application ErlPort carries this package for the processes it starts; it is not on PyPI. What is there is
`emqx-erlport`, the same code inside the package `emqx`. It was written before Python 3.11 took `inspect.getargspec`
away, as ErlPort 0.11 was not. Only tests have this on their module path.
"""

import inspect
import sys

if not hasattr(inspect, "getargspec"):
    inspect.getargspec = lambda function: inspect.getfullargspec(function)[:4]  # type: ignore[attr-defined]

from emqx.erlport import Atom, ImproperList, List, erlang, erlproto, erlterms

for _module in (erlang, erlproto, erlterms):
    sys.modules[_module.__name__.removeprefix("emqx.")] = _module

__all__ = ["Atom", "ImproperList", "List", "erlang", "erlproto", "erlterms"]
