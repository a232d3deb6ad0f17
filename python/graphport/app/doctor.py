"""Looks at this machine: what is installed, what is missing, and how to get it.

Only looks. Native code is tried in a process of its own, so that a broken library cannot take this one down. Blocks on
disk and on the programs it asks; must not print. Called by `cli`.
"""

from __future__ import annotations

import functools
import importlib.metadata
import platform
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from graphport.app.backends import Backends
from graphport.core.errors import InferenceError
from graphport.core.version import VERSION
from graphport.inference.external import ExternalGateway, checked_url
from graphport.inference.profiles.llama_server import LlamaServerProfile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from graphport.app.models import ModelFolder
    from graphport.inference.profiles.llamacpp_python import LlamacppPythonProfile
    from graphport.inference.profiles.xllamacpp import XllamacppProfile

_PATIENCE_SECONDS: Final = 60.0
_ERLANG_SAYS: Final = 'io:format("~s", [erlang:system_info(otp_release)]), halt().'
_WORDS_MOST: Final = 200
_MODELS: Final = "local models"
_IMPORTS: Final = {"xllamacpp": "xllamacpp", "llama-cpp-python": "llama_cpp.server.app"}

OLDEST_ELIXIR: Final = (1, 14)
OLDEST_OTP: Final = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked for.

    Attributes:
        name: what it is.
        status: `ok`; `missing` if a local model cannot run without it; `optional` if absent, but not needed for that.
        found: what is there, or what is wrong.
        used_for: what needs it.
        fix: what to type or do, empty where nothing has to be done.
    """

    name: str
    status: str
    found: str
    used_for: str
    fix: str = ""

    def to_plain(self) -> dict[str, str]:
        """The finding as JSON can say it."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """What a program said."""

    status: int
    output: str


def ask(command: list[str]) -> Spoken | None:
    """Run a program; None if it cannot be run or does not end."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_PATIENCE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return Spoken(status=done.returncode, output=done.stdout.decode(errors="replace").strip())


def examine(
    library: ModelFolder,
    *,
    ask: Callable[[list[str]], Spoken | None] = ask,
    which: Callable[[str], str | None] = shutil.which,
    version: Callable[[str], str | None] | None = None,
    backends: Backends | None = None,
) -> list[Finding]:
    """Look at everything.

    Args:
        library: the folder of models.
        ask: runs a program.
        which: finds a program.
        version: version of an installed Python package, or None.
        backends: what runs models; None is what this process would use.
    """
    version = _version if version is None else version
    looks: list[Callable[[], Finding]] = [
        _python,
        lambda: _loop(version),
        *_backends(backends or Backends(), ask, version),
        lambda: _models(library),
        lambda: _elixir(ask, which),
        lambda: _erlang(ask, which),
        lambda: _compiler(ask, which),
    ]
    # Most of the time is spent waiting for the programs that are asked.
    with ThreadPoolExecutor(len(looks)) as pool:
        return list(pool.map(lambda look: look(), looks))


def is_fit(findings: list[Finding]) -> bool:
    """Whether `graphport run` can run a graph with a local model."""
    return all(finding.status != "missing" for finding in findings)


def installed_models(library: ModelFolder) -> Mapping[str, Path]:
    """The models that graphs can use by name: those of the catalogue, and those the user put into the folder."""
    found: dict[str, Path] = {}
    names = set(library.catalogue)
    if library.folder.is_dir():
        for entry in library.folder.iterdir():
            if entry.suffix == ".gguf":
                names.add(entry.stem)
            elif entry.is_dir() and next(entry.glob("*.gguf"), None) is not None:
                names.add(entry.name)
    for name in sorted(names):
        path = library.path(name)
        if path is not None:
            found[name] = path
    return found


def _python() -> Finding:
    # A Python that is too old does not get here: the package cannot be installed in it.
    return Finding(
        name="Python",
        status="ok",
        found=f"{platform.python_version()} with graphport {VERSION} ({sys.executable})",
        used_for="everything",
    )


def _loop(version: Callable[[str], str | None]) -> Finding:
    used_for = "a faster event loop"
    found = version("uvloop")
    if found is None:
        return Finding(
            name="uvloop",
            status="optional",
            found="not installed; asyncio's own loop is used",
            used_for=used_for,
            fix="pip install 'graphport[speed]'",
        )
    return Finding(name="uvloop", status="ok", found=found, used_for=used_for)


def _backends(
    backends: Backends, ask: Callable[[list[str]], Spoken | None], version: Callable[[str], str | None]
) -> list[Callable[[], Finding]]:
    """One look for each backend; the one in use must work, the others need not be there."""
    try:
        chosen: str | None = backends.chosen()
    except InferenceError as error:
        chosen, problem = None, error.message
        if backends.installed():  # something is there, so it is the setting that is wrong
            return [lambda: Finding(name="backend", status="missing", found=problem, used_for=_MODELS)]
    looks: list[Callable[[], Finding]] = []
    for number, profile in enumerate(backends.profiles):
        needed = profile.name == chosen or (chosen is None and number == 0)
        if not profile.is_installed():
            status = "missing" if needed else "optional"
            found = "not installed"
            if isinstance(profile, LlamaServerProfile) and profile.is_configured:
                found = f"not installed: there is no program {profile.program}"
            absent = Finding(name=profile.name, status=status, found=found, used_for=_MODELS, fix=profile.how_to_get)
            looks.append(functools.partial(lambda finding: finding, absent))
            continue
        program = profile.path if isinstance(profile, LlamaServerProfile) else None
        command = (
            [program, "--version"] if program else [sys.executable, "-P", "-c", f"import {_IMPORTS[profile.name]}"]
        )
        found = program or version(profile.name) or "installed"
        looks.append(functools.partial(_backend, ask, command, profile, found, in_use=needed))
    looks.append(lambda: _external(backends.url, in_use=chosen == ExternalGateway.name))
    return looks


def _backend(
    ask: Callable[[list[str]], Spoken | None],
    command: list[str],
    profile: XllamacppProfile | LlamacppPythonProfile | LlamaServerProfile,
    found: str,
    *,
    in_use: bool,
) -> Finding:
    said = ask(command)
    if said is not None and said.status == 0:
        found = f"{found}, in use" if in_use else found
        return Finding(name=profile.name, status="ok", found=found, used_for=_MODELS)
    words = "it does not end" if said is None else _last_line(said.output) or f"exit status {said.status}"
    fix = profile.how_to_get.replace("pip install", "pip install --force-reinstall")
    if "libgomp" in words:
        fix = "install the OpenMP runtime (Debian, Ubuntu: apt-get install libgomp1)"
    return Finding(
        name=profile.name,
        status="missing" if in_use else "optional",
        found=f"{found}, but it cannot be loaded: {words}",
        used_for=_MODELS,
        fix=fix,
    )


def _external(url: str | None, *, in_use: bool) -> Finding:
    """The URL itself is not shown: somebody may have put a password into it."""
    name = ExternalGateway.name
    if url is None:
        status = "missing" if in_use else "optional"
        return Finding(
            name=name, status=status, found="no URL is set", used_for=_MODELS, fix=ExternalGateway.how_to_get
        )
    try:
        checked_url(url)
    except InferenceError as error:
        return Finding(name=name, status="missing", found=error.message, used_for=_MODELS)
    return Finding(name=name, status="ok", found="a URL is set" + (", in use" if in_use else ""), used_for=_MODELS)


def _models(library: ModelFolder) -> Finding:
    found = installed_models(library)
    folder = str(library.folder)
    if not found:
        return Finding(
            name="models",
            status="missing",
            found=f"none in {folder}",
            used_for="local models",
            fix="graphport models install smollm2, or put a .gguf file there",
        )
    return Finding(name="models", status="ok", found=f"{', '.join(found)} (in {folder})", used_for="local models")


def _elixir(ask: Callable[[list[str]], Spoken | None], which: Callable[[str], str | None]) -> Finding:
    return _program(
        "Elixir",
        "elixir",
        "the Elixir client, 1.14 or newer",
        "Debian, Ubuntu: apt-get install elixir; macOS: brew install elixir; else https://elixir-lang.org/install.html",
        which,
        lambda path: _number(ask([path, "--short-version"])),
        oldest=OLDEST_ELIXIR,
    )


def _erlang(ask: Callable[[list[str]], Spoken | None], which: Callable[[str], str | None]) -> Finding:
    return _program(
        "Erlang/OTP",
        "erl",
        "the Elixir client, 25 or newer",
        "it comes with Elixir's package",
        which,
        lambda path: _number(ask([path, "-noshell", "-eval", _ERLANG_SAYS])),
        oldest=(OLDEST_OTP,),
    )


def _compiler(ask: Callable[[list[str]], Spoken | None], which: Callable[[str], str | None]) -> Finding:
    return _program(
        "gcc",
        "gcc",
        "the benchmarks, whose peers are written in C",
        "Debian, Ubuntu: apt-get install gcc libc6-dev",
        which,
        lambda path: _number(ask([path, "-dumpfullversion"])),
    )


def _program(
    name: str,
    program: str,
    used_for: str,
    fix: str,
    which: Callable[[str], str | None],
    number: Callable[[str], str | None],
    *,
    oldest: tuple[int, ...] = (),
) -> Finding:
    """A program on PATH. None is needed to run a graph in this process, so its absence is never `missing`."""
    path = which(program)
    if path is None:
        return Finding(name=name, status="optional", found="not found on PATH", used_for=used_for, fix=fix)
    found = number(path)
    if found is None:
        return Finding(
            name=name, status="optional", found=f"{path} does not say its version", used_for=used_for, fix=fix
        )
    parts = tuple(int(part) for part in re.findall(r"\d+", found)[: len(oldest)])
    if parts < oldest:
        return Finding(name=name, status="optional", found=f"{found} ({path}), too old", used_for=used_for, fix=fix)
    return Finding(name=name, status="ok", found=f"{found} ({path})", used_for=used_for)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _number(said: Spoken | None) -> str | None:
    """The version in what a program said, or None."""
    if said is None or said.status != 0:
        return None
    found = re.search(r"\d+(\.\d+)*\S*", _last_line(said.output))
    return None if found is None else found.group()


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2].strip()[:_WORDS_MOST]
