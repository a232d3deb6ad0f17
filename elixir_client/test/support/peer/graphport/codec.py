"""Packs and unpacks what the peer and the hostile programs say; every width is the longest, no extension types."""

# ruff: noqa: D103, B905
import struct


def pack(v):
    if v is None:
        return b"\xc0"
    if v is True or v is False:
        return b"\xc3" if v else b"\xc2"
    if isinstance(v, int):
        return b"\xd3" + struct.pack(">q", v)
    if isinstance(v, float):
        return b"\xcb" + struct.pack(">d", v)
    if isinstance(v, str):
        b = v.encode()
        return b"\xdb" + struct.pack(">I", len(b)) + b
    if isinstance(v, bytes):
        return b"\xc6" + struct.pack(">I", len(v)) + v
    if isinstance(v, list):
        return b"\xdd" + struct.pack(">I", len(v)) + b"".join(map(pack, v))
    return b"\xdf" + struct.pack(">I", len(v)) + b"".join(pack(k) + pack(x) for k, x in v.items())


FIXED = {0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q", 0xD0: ">b", 0xD1: ">h",
         0xD2: ">i", 0xD3: ">q"}  # fmt: skip
SIZES = {0xC4: ">B", 0xC5: ">H", 0xC6: ">I", 0xD9: ">B", 0xDA: ">H", 0xDB: ">I", 0xDC: ">H", 0xDD: ">I",
         0xDE: ">H", 0xDF: ">I"}  # fmt: skip


def unpack(b, at=0):
    c = b[at]
    at += 1
    if c < 0x80 or c >= 0xE0:
        return (c if c < 0x80 else c - 256), at
    if c in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[c], at
    if c in FIXED:
        size = struct.calcsize(FIXED[c])
        return struct.unpack(FIXED[c], b[at : at + size])[0], at + size
    if c < 0xC0:
        n = c & (0x1F if c >= 0xA0 else 0x0F)
        kind = "str" if c >= 0xA0 else "list" if c >= 0x90 else "map"
    else:
        size = struct.calcsize(SIZES[c])
        n, at = struct.unpack(SIZES[c], b[at : at + size])[0], at + size
        kind = "bin" if c < 0xC8 else "str" if c < 0xDC else "list" if c < 0xDE else "map"
    if kind in ("str", "bin"):
        return (b[at : at + n].decode() if kind == "str" else b[at : at + n]), at + n
    items = []
    for _ in range(n * (2 if kind == "map" else 1)):
        item, at = unpack(b, at)
        items.append(item)
    return (items if kind == "list" else dict(zip(items[::2], items[1::2]))), at
