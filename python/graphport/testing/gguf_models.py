"""Writes tiny GGUF models whose text is known in advance, so that tests run a real worker without a download.

Made at test time, the same bytes each time. Needs the package `gguf`, which is imported when a model is
written. Must not be used by anything that ships to users; called by tests and benchmarks.

The successor model says what follows the last character of the prompt: `w` gives `xyz` and stops. All blocks
are zero, so the hidden state is the last token's own embedding, and row `j` of the output matrix is the
embedding of the token that `j` follows. Its text therefore does not depend on kernels, batches or
temperature.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

PLAIN_TEMPLATE: Final = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
"""Chat template that adds nothing: the model sees the contents of all messages, one after the other."""

EMOJI: Final = "😀"
"""What a model written with `emoji=True` says after `!`, in four tokens of one byte each."""

_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"
_OTHER_CHARACTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!?.,:;\u2581"
_NORMAL, _UNKNOWN, _CONTROL, _BYTE = 1, 2, 3, 6
_FIRST_BYTE: Final = 3
_OUTPUT_SCALE: Final = 8.0  # logits so far apart that sampling at any usual temperature cannot miss


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    width: int
    blocks: int
    context_length: int


def write_successor_model(
    path: Path,
    *,
    endless: bool = False,
    emoji: bool = False,
    chat_template: str | None = PLAIN_TEMPLATE,
    context_length: int = 8192,
    width: int = 64,
    blocks: int = 1,
) -> Path:
    """Write a model that continues the alphabet, about 150 kB.

    Args:
        path: file to write; its folder must exist.
        endless: `z` is followed by `a` instead of the end.
        emoji: `!` is followed by the four byte tokens of `EMOJI`, then the end.
        chat_template: Jinja text stored in the file, or None for a model without one.
        context_length: context the model claims to have been trained with.
        width: size of an embedding; larger is slower.
        blocks: number of layers; more is slower.

    Returns:
        `path`.
    """
    tokens, kinds = _vocabulary(_LETTERS + _OTHER_CHARACTERS)
    index = {token: number for number, token in enumerate(tokens)}
    follows = {index[a]: index[b] for a, b in pairwise(_LETTERS)}
    end = index["</s>"]
    follows[index["z"]] = index["a"] if endless else end
    if emoji:
        chain = [index["!"], *(_FIRST_BYTE + byte for byte in EMOJI.encode())]
        follows.update(pairwise(chain))
        follows[chain[-1]] = end
    shape = _Shape(width=width, blocks=blocks, context_length=context_length)
    _write(path, shape, tokens, kinds, chat_template, follows)
    return path


def write_wide_vocabulary_model(
    path: Path, *, vocabulary: int = 49_152, width: int = 8, context_length: int = 8192
) -> Path:
    """Write a model that computes almost nothing but has a real model's vocabulary, for measuring overhead.

    Its text is the same each time at temperature 0, never ends by itself and means nothing.
    """
    words = [_word(number) for number in range(vocabulary - _FIRST_BYTE - 256 - len(_LETTERS) - 1)]
    tokens, kinds = _vocabulary([*_LETTERS, "\u2581", *words])
    shape = _Shape(width=width, blocks=1, context_length=context_length)
    _write(path, shape, tokens, kinds, PLAIN_TEMPLATE, None)
    return path


def _word(number: int) -> str:
    """Words like `▁kaba`: syllables count in base 26, so that no two are equal."""
    text = ""
    while True:
        number, rest = divmod(number, len(_LETTERS))
        text += _LETTERS[rest] + "aeiou"[rest % 5]
        if not number:
            return "\u2581" + text


def _vocabulary(pieces: Sequence[str]) -> tuple[list[str], list[int]]:
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *pieces]
    kinds = [_UNKNOWN, _CONTROL, _CONTROL, *([_BYTE] * 256), *([_NORMAL] * len(pieces))]
    return tokens, kinds


def _write(
    path: Path,
    shape: _Shape,
    tokens: Sequence[str],
    kinds: Sequence[int],
    chat_template: str | None,
    follows: Mapping[int, int] | None,
) -> None:
    from gguf import GGUFWriter

    writer = GGUFWriter(path, "llama")
    writer.add_context_length(shape.context_length)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.blocks)
    writer.add_feed_forward_length(shape.width)
    writer.add_head_count(1)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(list(tokens))
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types(list(kinds))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    if chat_template is not None:
        writer.add_chat_template(chat_template)
    for name, tensor in _tensors(shape, len(tokens), follows).items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _tensors(shape: _Shape, count: int, follows: Mapping[int, int] | None) -> dict[str, Any]:
    import numpy

    random = numpy.random.default_rng(20_240_501)
    embeddings = random.standard_normal((count, shape.width)).astype(numpy.float32)
    embeddings /= numpy.linalg.norm(embeddings, axis=1, keepdims=True)
    output = numpy.zeros((count, shape.width), dtype=numpy.float32)
    if follows is None:
        # Rows 0 to 258 stay zero: neither the end nor a raw byte ever wins.
        output[259:] = random.standard_normal((count - 259, shape.width))
    else:
        for token, follower in follows.items():
            output[follower] += embeddings[token] * _OUTPUT_SCALE
    half = numpy.float16
    square = numpy.zeros((shape.width, shape.width), dtype=half)
    ones = numpy.ones(shape.width, dtype=numpy.float32)
    tensors: dict[str, Any] = {"token_embd.weight": embeddings.astype(half)}
    for block in range(shape.blocks):
        for part in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
            tensors[f"blk.{block}.{part}.weight"] = square
        for part in ("attn_norm", "ffn_norm"):
            tensors[f"blk.{block}.{part}.weight"] = ones
    tensors["output_norm.weight"] = ones
    tensors["output.weight"] = output.astype(half)
    return tensors
