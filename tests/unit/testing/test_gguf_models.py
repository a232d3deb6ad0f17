"""The generated models are the same bytes each time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from graphport.inference.gguf_file import resolve_model
from graphport.testing.gguf_models import write_successor_model, write_wide_vocabulary_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytest.importorskip("gguf")


@pytest.mark.parametrize("write", [write_successor_model, write_wide_vocabulary_model])
def test_the_same_bytes_each_time(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    first = write(tmp_path / "1.gguf").read_bytes()
    second = write(tmp_path / "2.gguf").read_bytes()

    assert first == second
    assert resolve_model(str(tmp_path / "1.gguf")).size == len(first)


def test_the_successor_model_is_small(tmp_path: Path) -> None:
    assert write_successor_model(tmp_path / "m.gguf").stat().st_size < 200_000


@pytest.mark.parametrize(
    "option", [{"endless": True}, {"emoji": True}, {"chat_template": None}, {"width": 32}, {"blocks": 2}]
)
def test_each_option_changes_the_file(tmp_path: Path, option: dict[str, Any]) -> None:
    plain = write_successor_model(tmp_path / "plain.gguf").read_bytes()

    assert write_successor_model(tmp_path / "other.gguf", **option).read_bytes() != plain


def test_no_word_of_the_wide_vocabulary_occurs_twice(tmp_path: Path) -> None:
    from gguf import GGUFReader

    reader = GGUFReader(write_wide_vocabulary_model(tmp_path / "m.gguf", vocabulary=3000))
    tokens = reader.fields["tokenizer.ggml.tokens"].contents()

    assert len(tokens) == 3000
    assert len(set(tokens)) == 3000
