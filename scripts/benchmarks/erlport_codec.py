"""What MessagePack costs in Python, against ErlPort's own codec. Run by `scripts/bench wire`; rows go to stdout.

ErlPort's codec is that of `emqx-erlport`. It knows no maps, so the typical payload is lists and tuples for it.
"""

from __future__ import annotations

import statistics
import sys
import time
from typing import TYPE_CHECKING, Any, Final

from emqx.erlport.erlterms import decode, encode

from graphport.wire.codec import pack, unpack

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS: Final = 9
TYPICAL: Final[dict[str, Any]] = {
    f"entry {number}": {"text": b"some words of a text", "score": 0.25, "number": number, "tags": [b"one", b"two"]}
    for number in range(100)
}
LARGE: Final = bytes(1_048_576)


def as_lists(value: Any) -> Any:
    """Maps as lists of pairs, keys as binaries."""
    if isinstance(value, dict):
        return [(key.encode(), as_lists(one)) for key, one in value.items()]
    return value


def microseconds(call: Callable[[], object], count: int) -> float:
    began = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - began) / count * 1e6


def row(figure: str, ours: Callable[[], object], theirs: Callable[[], object], count: int) -> None:
    pairs = [(microseconds(ours, count), microseconds(theirs, count)) for _ in range(ROUNDS)]
    value, peer = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = statistics.median(mine / other for mine, other in pairs)
    sys.stdout.write(f"{figure}\t{value:.1f} us\t{peer:.1f} us\t{ratio:.2f}x\t\n")


def main() -> None:
    lists = as_lists(TYPICAL)
    packed, terms = pack(TYPICAL), encode(lists)
    assert unpack(packed) == TYPICAL
    row("MessagePack / ErlPort: encode 100 entries", lambda: pack(TYPICAL), lambda: encode(lists), 20)
    row("MessagePack / ErlPort: decode 100 entries", lambda: unpack(packed), lambda: decode(terms), 20)
    packed, terms = pack(LARGE), encode(LARGE)
    row("MessagePack / ErlPort: encode a binary of 1 MiB", lambda: pack(LARGE), lambda: encode(LARGE), 20)
    row("MessagePack / ErlPort: decode a binary of 1 MiB", lambda: unpack(packed), lambda: decode(terms), 20)


main()
