"""The model library: what is installed is what was pinned, and nothing else is touched."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from graphport.app import models as models_module
from graphport.app.models import CATALOGUE, CatalogueModel, ModelFolder, Progress, models_folder
from graphport.core.errors import InferenceError

if TYPE_CHECKING:
    from collections.abc import Callable

CONTENT = b"GGUF" + bytes(range(256)) * 20_000
MEMBER = "tiny_package/tiny.gguf"


class Shop:
    """A catalogue of one model and a download that copies a wheel made here."""

    def __init__(self, folder: Path) -> None:
        self.wheel = folder / "tiny.whl"
        with zipfile.ZipFile(self.wheel, "w") as archive:
            archive.writestr("../../escape.txt", "out of the folder")
            archive.writestr("tiny_package/__init__.py", "raise SystemExit")
            archive.writestr(MEMBER, CONTENT)
        self.downloads = 0
        self.library = self.library_for(CONTENT)

    def library_for(self, expected: bytes) -> ModelFolder:
        model = CatalogueModel(
            name="tiny",
            description="",
            distribution="tiny-package",
            version="1",
            wheel_size=self.wheel.stat().st_size,
            wheel_sha256=hashlib.sha256(self.wheel.read_bytes()).hexdigest(),
            member=MEMBER,
            size=len(expected),
            sha256=hashlib.sha256(expected).hexdigest(),
        )
        return ModelFolder(self.wheel.parent / "models", catalogue={"tiny": model}, download=self.download)

    def download(self, model: CatalogueModel, folder: Path, report: Callable[[int], None]) -> Path:
        self.downloads += 1
        report(model.wheel_size)
        return Path(shutil.copy(self.wheel, folder))


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_install_unpacks_the_model_and_nothing_else(shop: Shop) -> None:
    path = shop.library.install("tiny")

    assert path.read_bytes() == CONTENT
    assert shop.library.path("tiny") == path
    assert files(shop.library.folder) == ["tiny/tiny.gguf"]
    assert files(shop.wheel.parent) == ["models/tiny/tiny.gguf", "tiny.whl"]


def test_install_does_nothing_twice(shop: Shop) -> None:
    shop.library.install("tiny")
    seen: list[Progress] = []

    shop.library.install("tiny", seen.append)

    assert shop.downloads == 1
    assert [progress.step for progress in seen] == ["present"]


def test_a_damaged_model_is_installed_again(shop: Shop) -> None:
    path = shop.library.install("tiny")
    path.write_bytes(b"X" + CONTENT[1:])

    shop.library.install("tiny")

    assert shop.downloads == 2
    assert path.read_bytes() == CONTENT


def test_a_truncated_model_does_not_count_as_installed(shop: Shop) -> None:
    path = shop.library.install("tiny")
    path.write_bytes(CONTENT[:-1])

    assert shop.library.path("tiny") is None


def test_progress_grows_to_the_end(shop: Shop) -> None:
    seen: list[Progress] = []

    shop.library.install("tiny", seen.append)

    assert list(dict.fromkeys(progress.step for progress in seen)) == ["download", "unpack", "done"]
    unpacked = [progress.done for progress in seen if progress.step == "unpack"]
    assert unpacked == sorted(unpacked)
    assert unpacked[-1] == len(CONTENT)


@pytest.mark.parametrize("expected", [CONTENT[:-1], CONTENT + b"x", b"x" * len(CONTENT)])
def test_another_file_than_the_pinned_one_is_refused(shop: Shop, expected: bytes) -> None:
    library = shop.library_for(expected)

    with pytest.raises(InferenceError) as caught:
        library.install("tiny")

    assert caught.value.code == "invalid_model"
    assert files(library.folder) == []


def test_another_wheel_than_the_pinned_one_is_refused(shop: Shop) -> None:
    library = shop.library
    with zipfile.ZipFile(shop.wheel, "a") as archive:
        archive.writestr("extra.py", "")

    with pytest.raises(InferenceError) as caught:
        library.install("tiny")

    assert caught.value.code == "invalid_model"
    assert files(library.folder) == []


def test_a_folder_instead_of_a_wheel_is_taken_too(shop: Shop) -> None:
    def download(_model: CatalogueModel, folder: Path, _report: Callable[[int], None]) -> Path:
        with zipfile.ZipFile(shop.wheel) as archive:
            archive.extract(MEMBER, folder / "package")
        return folder / "package"

    library = ModelFolder(shop.library.folder, catalogue=shop.library.catalogue, download=download)

    assert library.install("tiny").read_bytes() == CONTENT


def test_an_unknown_name_lists_the_known_ones(shop: Shop) -> None:
    with pytest.raises(InferenceError) as caught:
        shop.library.install("huge")

    assert caught.value.code == "model_not_found"
    assert "tiny" in caught.value.message


def test_a_folder_that_cannot_be_written_says_what_to_set(shop: Shop, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    library = ModelFolder(blocked, catalogue=shop.library.catalogue, download=shop.download)

    with pytest.raises(InferenceError) as caught:
        library.install("tiny")

    assert caught.value.code == "backend_unavailable"
    assert "GRAPHPORT_MODELS" in caught.value.message


@pytest.mark.parametrize("name", ["", ".", "..", "../secret", "a/b", ".hidden", "nul\0byte"])
def test_a_name_never_leaves_the_folder(shop: Shop, name: str) -> None:
    (shop.wheel.parent / "secret.gguf").write_text("x")

    assert shop.library.path(name) is None


def test_models_the_user_put_there_are_found_by_name(shop: Shop) -> None:
    folder = shop.library.folder
    (folder / "mine").mkdir(parents=True)
    (folder / "other.gguf").write_text("x")

    assert shop.library.path("mine") == folder / "mine"
    assert shop.library.path("other") == folder / "other.gguf"
    assert shop.library.path("none") is None


def test_the_folder_comes_from_the_environment() -> None:
    assert models_folder({"GRAPHPORT_MODELS": "/a", "XDG_DATA_HOME": "/b"}) == Path("/a")
    assert models_folder({"XDG_DATA_HOME": "/b"}) == Path("/b/graphport/models")
    assert models_folder({}) == Path.home() / ".local/share/graphport/models"


def test_a_failed_download_is_typed_and_shows_no_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = [sys.executable, "-c", "raise SystemExit('cannot reach https://joe:pw@mirror/simple')"]
    real_popen = subprocess.Popen

    def popen(_command: list[str], **options: object) -> subprocess.Popen[bytes]:
        return real_popen(failing, **options)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(subprocess, "Popen", popen)
    monkeypatch.setattr(models_module, "_has_pip", lambda: True)

    with pytest.raises(InferenceError) as caught:
        ModelFolder(tmp_path).install("smollm2")

    assert caught.value.code == "backend_unavailable"
    assert "https://mirror/simple" in caught.value.message
    assert "pw" not in caught.value.message
    assert files(tmp_path) == []


def test_without_pip_and_uv_it_says_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models_module, "_has_pip", lambda: False)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(InferenceError) as caught:
        ModelFolder(tmp_path / "models").install("smollm2")

    assert caught.value.code == "backend_unavailable"
    assert "ensurepip" in caught.value.message


def test_every_model_of_the_catalogue_is_pinned() -> None:
    for name, model in CATALOGUE.items():
        assert model.name == name
        assert re.fullmatch("[0-9a-f]{64}", model.sha256)
        assert re.fullmatch("[0-9a-f]{64}", model.wheel_sha256)
        assert model.member.endswith(".gguf")
        assert model.size > 0
        assert model.wheel_size > 0
