"""Dies with demands open, and answers them in its next life."""

import os
import pathlib

from hostile import FOLDER, START, complete, on_hello, serve, silent

FILE = pathlib.Path(FOLDER) / "demands"


def hello(facts):
    """The second start knows what the first was asked."""
    on_hello(facts)
    if FILE.exists():
        for demand in FILE.read_text().split():
            complete(int(demand), "go")


def go(demand):
    """The first start writes down what it is asked, and is gone."""
    if START == 1:
        FILE.write_text(" ".join(map(str, [*silent, demand])))
        os._exit(7)
    complete(demand)


serve(go, hello=hello)
