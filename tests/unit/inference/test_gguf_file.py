"""Model files: what is found, and which sentence each bad file gets."""

from __future__ import annotations

import errno
import struct
from typing import TYPE_CHECKING

import pytest
from tests.unit.inference.support import write_header

from graphport.core.errors import InferenceError
from graphport.inference.gguf_file import resolve_model

if TYPE_CHECKING:
    from pathlib import Path


def refusal(path: Path | str) -> InferenceError:
    with pytest.raises(InferenceError) as caught:
        resolve_model(str(path))
    return caught.value


def test_a_file_is_known_by_its_real_path_size_and_time(tmp_path: Path) -> None:
    path = write_header(tmp_path / "a.gguf")
    (tmp_path / "link").symlink_to(path)

    found = resolve_model(str(tmp_path / "link"))

    assert found.path == str(path.resolve())
    assert (found.size, found.modified_ns) == (path.stat().st_size, path.stat().st_mtime_ns)


def test_a_folder_stands_for_its_first_gguf_file(tmp_path: Path) -> None:
    write_header(tmp_path / "b.gguf")
    write_header(tmp_path / "a.GGUF")
    (tmp_path / "0.gguf").mkdir()
    (tmp_path / "0.txt").write_text("no model")

    assert resolve_model(str(tmp_path)).path.endswith("a.GGUF")


def test_the_home_folder_may_be_written_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write_header(tmp_path / "a.gguf")

    assert resolve_model("~/a.gguf").path == str(tmp_path / "a.gguf")


@pytest.mark.parametrize("path", ["", "/nowhere/model.gguf", "nul\0byte.gguf", "/dev/null/x.gguf"])
def test_a_missing_file_is_not_found(path: str) -> None:
    error = refusal(path)

    assert error.code == "model_not_found"


def test_a_folder_without_a_model_is_not_found(tmp_path: Path) -> None:
    error = refusal(tmp_path)

    assert error.code == "model_not_found"
    assert "no .gguf file" in error.message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"Once upon a time", "letters GGUF"),
        (b"GGUF", "cut off"),
        (struct.pack("<4sIQQ", b"GGUF", 3, 1, 1)[:-1], "cut off"),
        (struct.pack("<4sIQQ", b"GGUF", 1, 1, 1) + bytes(99), "version 1"),
        (struct.pack("<4sIQQ", b"GGUF", 99, 1, 1) + bytes(99), "version 99"),
        (struct.pack("<4sIQQ", b"GGUF", 3, 400, 30), "shorter than"),
        (struct.pack("<4sIQQ", b"GGUF", 3, 2**63, 2**63) + bytes(99), "shorter than"),
    ],
)
def test_what_is_no_model_is_named_as_such(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(content)

    error = refusal(path)

    assert error.code == "invalid_model"
    assert words in error.message
    assert str(path) in error.message


def test_a_device_is_no_model() -> None:
    assert refusal("/dev/zero").code == "invalid_model"


def test_a_file_that_may_not_be_read_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_header(tmp_path / "a.gguf")

    def refuse(*_: object) -> None:  # a mode of 000 would not stop root
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("graphport.inference.gguf_file.open", refuse, raising=False)

    assert "permissions" in refusal(path).message
