"""Node types for `big.exs`: one that takes bytes and answers with a number, one that gives bytes it has."""

from graphport import node

_BYTES = bytes(64 * 1024 * 1024)
_ONE_MIB = bytes(1024 * 1024)


@node(outputs={"value": int}, effect="volatile")
async def take(value: bytes = b"") -> int:
    """Answer with the size."""
    return len(value)


@node(outputs={"value": bytes}, effect="volatile")
async def give(mib: int = 1) -> bytes:
    """Give 1 or 64 MiB."""
    return _BYTES if mib == 64 else _ONE_MIB
