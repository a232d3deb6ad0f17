"""Vectors of single values: every row of PROTOCOL.md §2, the borders of every width, broken frames.

Frames are written by hand. Called by `scripts/gen_wire.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def fill(table: Any, encode: Callable[[Any], bytes], bytes_type: type) -> None:
    """Adds all vectors of this file to the table."""
    _simple(table)
    _integers(table)
    _floats(table)
    _texts_and_bytes(table)
    _containers(table)
    _extensions(table)
    _times(table)
    _broken(table)
    _unwritable(table)


def _simple(t: Any) -> None:
    t.value("nil", "c0", ("nil",))
    t.value("false", "c2", ("bool", False))
    t.value("true", "c3", ("bool", True))


def _integers(t: Any) -> None:
    rows = [
        (0, "00"), (1, "01"), (127, "7f"), (128, "cc80"), (255, "ccff"), (256, "cd0100"), (65535, "cdffff"),
        (65536, "ce00010000"), (2**32 - 1, "ceffffffff"), (2**32, "cf0000000100000000"),
        (2**63 - 1, "cf7fffffffffffffff"), (2**63, "cf8000000000000000"), (2**64 - 1, "cfffffffffffffffff"),
        (-1, "ff"), (-32, "e0"), (-33, "d0df"), (-128, "d080"), (-129, "d1ff7f"), (-32768, "d18000"),
        (-32769, "d2ffff7fff"), (-(2**31), "d280000000"), (-(2**31) - 1, "d3ffffffff7fffffff"),
        (-(2**63), "d38000000000000000"),
    ]  # fmt: skip
    for number, hex_text in rows:
        t.value(f"int {number}", hex_text, ("int", number))
    wider = [
        (5, "cc05", "uint 8"), (5, "cd0005", "uint 16"), (5, "ce00000005", "uint 32"),
        (5, "cf0000000000000005", "uint 64"), (5, "d005", "int 8"), (5, "d10005", "int 16"),
        (5, "d200000005", "int 32"), (5, "d30000000000000005", "int 64"), (-1, "d0ff", "int 8"),
        (-1, "d1ffff", "int 16"), (-1, "d2ffffffff", "int 32"), (-1, "d3ffffffffffffffff", "int 64"),
        (2**63 - 1, "d37fffffffffffffff", "int 64"),
    ]  # fmt: skip
    for number, hex_text, width in wider:
        t.value(f"int {number} wider than needed: {width}", hex_text, ("int", number), exact=False)


def _floats(t: Any) -> None:
    rows = [
        (0.0, "0000000000000000"), (1.5, "3ff8000000000000"), (-2.25, "c002000000000000"),
        (0.1, "3fb999999999999a"), (1.7976931348623157e308, "7fefffffffffffff"), (5e-324, "0000000000000001"),
    ]  # fmt: skip
    for number, hex_text in rows:
        t.value(f"float {number!r}", "cb" + hex_text, ("float", number))
    t.value("float -0.0", "cb8000000000000000", ("special", "minus_zero"))
    t.value("float inf", "cb7ff0000000000000", ("special", "infinity"))
    t.value("float -inf", "cbfff0000000000000", ("special", "neg_infinity"))
    t.value("float nan", "cb7ff8000000000000", ("special", "nan"))
    t.value("float nan with a payload", "cb7ff0000000000001", ("special", "nan"), exact=False)
    t.value("float nan with a sign", "cbfff8000000000000", ("special", "nan"), exact=False)
    t.value("float 32: 1.5", "ca3fc00000", ("float", 1.5), exact=False)
    t.value("float 32: -0.5", "cabf000000", ("float", -0.5), exact=False)
    t.value("float 32: inf", "ca7f800000", ("special", "infinity"), exact=False)
    t.value("float 32: -inf", "caff800000", ("special", "neg_infinity"), exact=False)
    t.value("float 32: nan", "ca7fc00000", ("special", "nan"), exact=False)


def _texts_and_bytes(t: Any) -> None:
    t.value("str empty", "a0", ("str", ""))
    t.value("str of one", "a161", ("str", "a"))
    t.value("str of 31", "bf 61*31", ("repeat_str", "a", 31))
    t.value("str of 32", "d920 61*32", ("repeat_str", "a", 32))
    t.value("str of 255", "d9ff 61*255", ("repeat_str", "a", 255))
    t.value("str of 256", "da0100 61*256", ("repeat_str", "a", 256))
    t.value("str of 65535", "daffff 61*65535", ("repeat_str", "a", 65535))
    t.value("str of 65536", "db00010000 61*65536", ("repeat_str", "a", 65536))
    for width, hex_text in [("str 8", "d90161"), ("str 16", "da000161"), ("str 32", "db0000000161")]:
        t.value(f"str wider than needed: {width}", hex_text, ("str", "a"), exact=False)
    t.value("str of two bytes a sign", "a4c3a4c3b6", ("str", "äö"))
    t.value("str of three and four bytes a sign", "a7e282acf09f9880", ("str", "€😀"))
    t.value("str with a zero byte", "a3610062", ("str", "a\0b"))
    t.value("str of seven ASCII bytes and a two-byte sign", "a961626364656667c3a4", ("str", "abcdefgä"))
    for name, hex_text in [
        ("a lone continuation byte", "a180"), ("a cut sign", "a1c3"), ("an overlong slash", "a2c0af"),
        ("a surrogate", "a3eda080"), ("over U+10FFFF", "a4f4908080"), ("the byte ff", "a1ff"),
        ("a bad byte after eight good ones", "a96162636465666768ff"), ("bad in str 8", "d901ff"),
        ("bad in str 16", "da0001ff"), ("bad in str 32", "db00000001ff"),
    ]:  # fmt: skip
        t.bad(f"str that is not UTF-8: {name}", hex_text)
    t.value("bin empty", "c400", ("bytes", ""))
    t.value("bin that is not UTF-8", "c403ff0080", ("bytes", "ff0080"))
    t.value("bin of 255", "c4ff 00*255", ("repeat_bytes", "00", 255))
    t.value("bin of 256", "c50100 00*256", ("repeat_bytes", "00", 256))
    t.value("bin of 65535", "c5ffff fe*65535", ("repeat_bytes", "fe", 65535))
    t.value("bin of 65536", "c600010000 fe*65536", ("repeat_bytes", "fe", 65536))
    for width, hex_text in [("bin 16", "c50001aa"), ("bin 32", "c600000001aa")]:
        t.value(f"bin wider than needed: {width}", hex_text, ("bytes", "aa"), exact=False)


def _containers(t: Any) -> None:
    one_two = ("list", [("int", 1), ("int", 2)])
    t.value("list empty", "90", ("list", []))
    t.value("list of two", "920102", one_two)
    t.value("list of 15", "9f c0*15", ("repeat_list", ("nil",), 15))
    t.value("list of 16", "dc0010 c0*16", ("repeat_list", ("nil",), 16))
    t.value("list of 65535", "dcffff c0*65535", ("repeat_list", ("nil",), 65535))
    t.value("list of 65536", "dd00010000 c0*65536", ("repeat_list", ("nil",), 65536))
    t.value("list wider than needed: array 16", "dc00020102", one_two, exact=False)
    t.value("list wider than needed: array 32", "dd000000020102", one_two, exact=False)
    t.value("list of everything", "96c0c2c303a161cb3ff8000000000000", ("list", [
        ("nil",), ("bool", False), ("bool", True), ("int", 3), ("str", "a"), ("float", 1.5)]))  # fmt: skip
    t.value("lists 500 levels deep", "91*499 90", ("nested", 500))
    t.bad("lists 10001 levels deep", "91*10000 90")
    t.value("map empty", "80", ("map", []))
    t.value("map with a text key", "81a16101", ("map", [[("str", "a"), ("int", 1)]]))
    for name, hex_text, key in [
        ("int", "07", ("int", 7)), ("negative int", "ff", ("int", -1)), ("float", "cb3ff8000000000000",
        ("float", 1.5)), ("true", "c3", ("bool", True)), ("nil", "c0", ("nil",)), ("bin", "c401ff",
        ("bytes", "ff")), ("largest uint", "cfffffffffffffffff", ("int", 2**64 - 1)),
    ]:  # fmt: skip
        t.value(f"map with a key: {name}", f"81{hex_text}c0", ("map", [[key, ("nil",)]]))
    pairs = [[("int", n), ("nil",)] for n in range(16)]
    sixteen = "".join(f"{n:02x}c0" for n in range(16))
    t.value("map of 15", "8f" + sixteen[:-4], ("map", pairs[:15]), exact=False)
    t.value("map of 16", "de0010" + sixteen, ("map", pairs), exact=False)
    t.value("map wider than needed: map 16", "de0001a16101", ("map", [[("str", "a"), ("int", 1)]]), exact=False)
    t.value(
        "map wider than needed: map 32",
        "df00000001a16101",
        ("map", [[("str", "a"), ("int", 1)]]),
        exact=False,
    )
    t.value("map whose key comes twice: the last wins", "82a16101a16102",
            ("map", [[("str", "a"), ("int", 2)]]), exact=False)  # fmt: skip
    t.value("map in list in map", "81a1619181a162c0",
            ("map", [[("str", "a"), ("list", [("map", [[("str", "b"), ("nil",)]])])]]))  # fmt: skip
    for name, hex_text in [
        ("list", "90"), ("map", "80"), ("tuple", "d40290"), ("set", "d40390"),
        ("big integer", "c70901 01 00*8"),
        ("date", "c70a05323032362d31312d3231"),
    ]:  # fmt: skip
        t.bad(f"map with a key that is a {name}", f"81 {hex_text} c0")


def _extensions(t: Any) -> None:
    t.value("big int 2^64", "c70901 01 00*8", ("int", 2**64))
    t.value("big int -2^63 - 1", "c70901 ff 7f ff*7", ("int", -(2**63) - 1))
    t.value("big int 2^71 - 1", "c70901 7f ff*8", ("int", 2**71 - 1))
    t.value("big int 2^71", "c70a01 00 80 00*8", ("int", 2**71))
    t.value("big int -2^71", "c70901 80 00*8", ("int", -(2**71)))
    t.value("big int of 16 bytes", "d801 01 00*15", ("int", 2**120))
    t.value("big int of 256 bytes", "c8010001 01 00*255", ("int", 2**2040))
    t.value("big int of 4096 bytes", "c8100001 7f ff*4095", ("int", 2**32767 - 1))
    t.value("big int of 4096 bytes, negative", "c8100001 80 00*4095", ("int", -(2**32767)))
    t.value("big int longer than needed", "c70a01 00 01 00*8", ("int", 2**64), exact=False)
    t.bad("big int of 4097 bytes", "c8100101 01 00*4096")
    t.bad("big int of no bytes", "c70001")
    t.value("tuple empty", "d40290", ("tuple", []))
    t.value("tuple of two", "c7030292 01 02", ("tuple", [("int", 1), ("int", 2)]))
    t.value("tuple in tuple", "d60291d40290", ("tuple", [("tuple", [])]))
    t.value("tuple of a text and a map", "d60292a16180", ("tuple", [("str", "a"), ("map", [])]))
    t.bad("tuple whose payload is a map", "d40280")
    t.bad("tuple whose payload is cut short", "d40291")
    t.bad("tuple with bytes after the array", "d5029090")
    t.bad("tuple of no bytes", "c70002")
    t.value("set empty", "d40390", ("set", []))
    t.value("set of one", "d5039101", ("set", [("int", 1)]))
    t.value("set of a text and nil", "d603 92 a161 c0", ("set", [("str", "a"), ("nil",)]), exact=False)
    t.value("set whose member comes twice", "c7030392 01 01", ("set", [("int", 1)]), exact=False)
    t.value("set of a tuple", "c7050391d5029101", ("set", [("tuple", [("int", 1)])]))
    t.bad("set of a list", "d5039190")
    t.bad("set of a map", "d5039180")
    t.bad("set of a set", "d60391d40390")
    t.bad("set of a tuple with a list in it", "c7050391 d5029190")
    t.bad("set whose payload is a text", "d503a161")
    for number in (0, 7, 127, -2, -128):
        t.bad(f"unknown extension type {number}", f"d4{number % 256:02x}00")
    t.bad("unknown extension type of 200 bytes", "c7c863 00*200")


def _text(ext: int, text: str) -> str:
    short = {1: "d4", 2: "d5", 4: "d6", 8: "d7", 16: "d8"}.get(len(text), f"c7{len(text):02x}")
    return f"{short}{ext:02x}{text.encode().hex()}"


def _times(t: Any) -> None:
    for text in ("2026-11-21T03:25:00", "2026-11-21T03:25:00.000001", "0001-01-01T00:00:00",
                 "9999-12-31T23:59:59.999999"):  # fmt: skip
        t.value(f"naive date and time {text}", _text(4, text), ("naive", text))
    t.value("date 2026-11-21", _text(5, "2026-11-21"), ("date", "2026-11-21"))
    t.value("date 2024-02-29", _text(5, "2024-02-29"), ("date", "2024-02-29"))
    t.value("time 03:25:00", _text(6, "03:25:00"), ("time", "03:25:00"))
    t.value("time 23:59:59.999999", _text(6, "23:59:59.999999"), ("time", "23:59:59.999999"))
    for ext, text in [
        (4, "yesterday"), (4, "2026-13-01T00:00:00"), (4, "2026-11-21T03:25:00+02:00"),
        (4, "2026-11-21T03:25:00-02:00"), (4, "2026-11-21T03:25:00Z"), (4, ""), (5, "2026-02-30"), (5, ""),
        (5, "2026-11-21T03:25:00"), (6, "25:00:00"), (6, "noon"), (6, "03:25:00+01:00"),
    ]:  # fmt: skip
        t.bad(f"time text of type {ext} that is none: {text or 'empty'}", _text(ext, text))
    t.bad("date that is not ASCII", "d405ff")
    t.value("timestamp 32: 0", "d6ff00000000", ("timestamp_us", ("int", 0)))
    t.value("timestamp 32: largest", "d6ffffffffff", ("timestamp_us", ("int", (2**32 - 1) * 1_000_000)))
    t.value("timestamp 64: a microsecond", "d7ff00000fa000000000", ("timestamp_us", ("int", 1)))
    t.value("timestamp 64: 2^32 s", "d7ff0000000100000000", ("timestamp_us", ("int", 2**32 * 1_000_000)))
    t.value("timestamp 96: a second before 1970", "c70cff00000000ffffffffffffffff",
            ("timestamp_us", ("int", -1_000_000)))  # fmt: skip
    t.value("timestamp 96: half a second before 1970", "c70cff1dcd6500ffffffffffffffff",
            ("timestamp_us", ("int", -500_000)))  # fmt: skip
    t.value("timestamp 96: year 1", "c70cff00000000fffffff1886e0900",
            ("timestamp_us", ("int", -62_135_596_800_000_000)))  # fmt: skip
    t.value("timestamp 96: year 9999", "c70cff3b9ac6180000003afff4417f",
            ("timestamp_us", ("int", 253_402_300_799_999_999)), exact=False)  # fmt: skip
    t.value("timestamp with nanoseconds: cut to microseconds", "d7ff000013a000000000",
            ("timestamp_us", ("int", 1)), exact=False)  # fmt: skip
    t.bad("timestamp before the year 1", "c70cff00000000fffffff1886e08ff")
    t.bad("timestamp after the year 9999", "c70cff000000000000003afff44180")
    t.bad("timestamp 64 with 10^9 nanoseconds", "d7ffee6b280000000000")
    t.bad("timestamp of 3 bytes", "c703ff000000")


def _broken(t: Any) -> None:
    t.bad("nothing", "")
    t.bad("the byte c1", "c1")
    t.bad("the byte c1 in a list", "91c1")
    for name, hex_text in [
        ("uint 8", "cc"), ("uint 16", "cd00"), ("uint 32", "ce000000"), ("uint 64", "cf00000000000000"),
        ("int 8", "d0"), ("int 16", "d100"), ("int 32", "d2000000"), ("int 64", "d300000000000000"),
        ("float 32", "ca000000"), ("float 64", "cb00000000000000"), ("short str", "a261"),
        ("str 8", "d90261"),
        ("str 16", "da000261"), ("str 32", "db0000000261"), ("length of str 8", "d9"),
        ("length of str 32", "db000000"), ("bin 8", "c40261"), ("bin 16", "c5000261"),
        ("bin 32", "c60000000261"), ("list", "9201"), ("empty array 16", "dc00"),
        ("array 32 of 2^32 - 1", "ddffffffff01"),
        ("map without its value", "81a161"), ("map 16", "de0001a161"),
        ("map 32 of 2^32 - 1", "dfffffffff01c0"), ("fixext 1", "d402"), ("fixext 16", "d80100"),
        ("ext 8", "c7020100"), ("ext 16", "c800020100"), ("ext 32", "c9000000020100"),
        ("str 32 of 2^32 - 1", "dbffffffff61"), ("bin 32 of 2^32 - 1", "c6ffffffff61"),
    ]:  # fmt: skip
        t.bad(f"cut short: {name}", hex_text)
    t.bad("a byte after the value", "c0c0")
    t.bad("bytes after a list", "9101a161")
    t.bad("an array 16 with an element too many", "dc00010102")


def _unwritable(t: Any) -> None:
    t.unwritable("an integer of 4097 bytes", ("power", 2, 32767))
    t.unwritable("lists 6000 levels deep", ("nested", 6000))
    t.unwritable("tuples 9 levels deep", ("nested_tuple", 9))
