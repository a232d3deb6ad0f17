"""Stands where the BEAM would: starts a Python as ErlPort does, and speaks ErlPort's terms with it over real pipes."""

from __future__ import annotations

import inspect
import os
import select
import subprocess
import sys
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if not hasattr(inspect, "getargspec"):
    inspect.getargspec = lambda function: inspect.getfullargspec(function)[:4]  # type: ignore[attr-defined]

from emqx.erlport.erlterms import Atom, OpaqueObject, decode, encode

from graphport.wire.codec import pack, unpack

if TYPE_CHECKING:
    from types import TracebackType

ROOT: Final = Path(__file__).parents[2]
ERLPORT: Final = Path(__file__).parent / "erlport_python3"
# A pid travels as a term that only Erlang reads, and comes back as that term; an atom serves as well.
OWNER: Final = Atom(b"owner")
OWNER_TERM: Final = (OpaqueObject.marker, Atom(b"erlang"), encode(OWNER)[1:])
OK: Final = Atom(b"ok")
_PATIENCE_S: Final = 30.0


class CallFailed(Exception):
    """What ErlPort answers for a call that raised: exception class and text."""


class ErlPortClient:
    """A Python process started by ErlPort's own start line.

    Attributes:
        casts: messages sent to pids and not asked for yet, as (pid, message).
        printed: what was printed through ErlPort.
    """

    def __init__(self, *, folders: list[Path] | None = None, stdio: bool = True) -> None:
        paths = [str(path) for path in [ERLPORT, ROOT / "python", *(folders or [])]]
        self.casts: list[tuple[Any, Any]] = []
        self.printed = ""
        self._numbers = count(1)
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        command = [sys.executable, "-u", "-m", "erlport.cli", "--packet=4", "--compressed=0", "--buffer_size=65536"]
        if not stdio:
            shell = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out} {theirs_in}<&- {theirs_out}>&-'
            command = ["bash", "-c", shell, "bash", *command, "--nouse_stdio"]
        self.process = subprocess.Popen(
            command,
            stdin=theirs_in if stdio else subprocess.DEVNULL,
            stdout=theirs_out if stdio else subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=[] if stdio else [theirs_in, theirs_out],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._in, self._out = ours_in, ours_out

    def __enter__(self) -> ErlPortClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.hang_up()
        self.process.kill()
        self.process.communicate()
        os.close(self._in)

    def hang_up(self) -> None:
        """Close the port, as the BEAM does."""
        if self._out >= 0:
            os.close(self._out)
            self._out = -1

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            readable, _, _ = select.select([self._in], [], [], _PATIENCE_S)
            assert readable, "nothing came"
            more = os.read(self._in, size - len(data))
            assert more, "the process closed its port"
            data += more
        return data

    def _read(self) -> Any:
        term, rest = decode(self._exactly(int.from_bytes(self._exactly(4), "big")))
        assert not rest
        return term

    def _write(self, term: Any) -> None:
        data = encode(term)
        os.write(self._out, len(data).to_bytes(4, "big") + data)

    def _take(self, term: Any) -> bool:
        """Keep what nobody waits for."""
        if term[0] == b"M":
            self.casts.append(term[1:])
        elif term[0] == b"P":
            self.printed += term[1] if isinstance(term[1], str) else term[1].to_string()
        else:
            return False
        return True

    def call(self, function: str, *arguments: Any, module: str = "graphport.erlport") -> Any:
        """`python:call/4`."""
        number = next(self._numbers)
        self._write((Atom(b"C"), number, Atom(module.encode()), Atom(function.encode()), list(arguments)))
        while self._take(term := self._read()):
            pass
        assert term[1] == number
        if term[0] == b"e":
            raise CallFailed(term[2][1].decode(), term[2][2] if isinstance(term[2][2], str) else term[2][2].to_string())
        return term[2]

    def cast(self, message: Any) -> None:
        """`python:cast/2`."""
        self._write((Atom(b"M"), message))

    def ask(self, function: str, payload: dict[str, Any]) -> Any:
        """A call of the direct door on behalf of `OWNER`, or of nobody."""
        owner = [] if function in ("start", "cancel", "close") else [OWNER_TERM]
        return self.call(function, *owner, pack(payload))

    def receive(self) -> tuple[Any, Any]:
        """The next message to any pid, oldest first."""
        while not self.casts:
            assert self._take(self._read())
        return self.casts.pop(0)

    def message(self) -> tuple[str, Any, Any]:
        """The next message to `OWNER`, its last element unpacked."""
        pid, (word, about, packed) = self.receive()
        assert pid == OWNER
        return word.decode(), about.decode() if isinstance(about, bytes) else about, unpack(packed)
