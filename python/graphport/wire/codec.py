"""Values to MessagePack and back, with the extension types of `PROTOCOL.md` §2.

Stands on the `msgpack` package (C, maintained by the MessagePack organisation, wheels everywhere, 7 ms to
import) and adds what it lacks: big integers, tuples, sets, dates, and one typed error. Reading can run no code.
Not thread-safe: only the event loop's thread calls it. Called by `wire.messages`, and by `server` for answers.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from typing import TYPE_CHECKING, Any, Final

import msgpack

from graphport.core.errors import WireError
from graphport.wire.limits import MAX_BIG_INT_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable

EXT_BIG_INT: Final = 1
EXT_TUPLE: Final = 2
EXT_SET: Final = 3
EXT_NAIVE_DATETIME: Final = 4
EXT_DATE: Final = 5
EXT_TIME: Final = 6

# Every extension level starts the C packer's own count of 511 levels anew; this bounds their product.
_MAX_NESTED_EXTS: Final = 8
# Each level that is read takes some 40 kB of C stack; unbounded, 1 kB of hostile bytes would crash the process.
_MAX_READ_NESTED_EXTS: Final = 32
# A packer never gives back the buffer that its largest value needed; after a larger one than this it is replaced.
_KEPT_BUFFER_BYTES: Final = 4_194_304
_KEY_TYPES: Final = frozenset({str, int, float, bool, type(None), bytes})
_CONTAINERS: Final = frozenset({list, tuple, set})


def pack(value: Any) -> bytes:
    """One value as MessagePack.

    Raises:
        WireError: `unencodable_value` if the value, or something in it, has no form on the wire.
    """
    global _packer
    others_before = _writing.others
    try:
        packed: bytes = _packer.pack(value)
        if _writing.others != others_before:
            _refuse_unreadable(value)
            _read_again(packed)
    except WireError:
        _packer = _new_packer()
        raise
    except BaseException as error:  # values are foreign code: a subclass may raise anything while it is written
        # Mostly lone surrogates, circular or too deep structures, lengths over 2^32.
        _packer = _new_packer()
        raise WireError(f"the value has no form on the wire: {_said(error)}", code="unencodable_value") from error
    if len(packed) > _KEPT_BUFFER_BYTES:
        _packer = _new_packer()
    return packed


def _said(error: BaseException) -> str:
    text: Any = ""
    with contextlib.suppress(BaseException):  # foreign too
        text = str(error)
    return text if text and type(text) is str else type(error).__name__


class _Writing:
    """Counts values that are not exactly plain, so that values without any (nearly all) need no second look."""

    others = 0


_writing: Final = _Writing()


def _refuse_unreadable(value: Any) -> None:
    """Refuse what can be written but not be read again: map keys that are extensions, sets of containers."""
    waiting = [(value, False)]
    while waiting:
        item, in_set = waiting.pop()
        if isinstance(item, dict):
            for key in item:
                if not _may_be_key(key):
                    raise WireError(
                        f"a map key of type {type(key).__name__} has no form on the wire; "
                        "keys are text, bytes, numbers of 64 bit, booleans or null",
                        code="unencodable_value",
                    )
            waiting.extend((each, in_set) for each in item.values())
        elif isinstance(item, list | tuple):
            waiting.extend((each, in_set) for each in item)
        elif isinstance(item, set | frozenset):
            waiting.extend((each, True) for each in item)
        else:
            continue
        if in_set and not isinstance(item, tuple):
            raise WireError(
                f"a set that holds a {type(item).__name__} has no form on the wire", code="unencodable_value"
            )


def _read_again(packed: bytes) -> None:
    """Refuse what another thread, or the value's own code, has changed while it was written: counts are then wrong."""
    try:
        unpack(packed)
    except WireError as error:
        raise WireError(f"the value changed while it was written: {error.message}", code="unencodable_value") from None


def _may_be_key(key: Any) -> bool:
    if isinstance(key, int):
        return -(2**63) <= key < 2**64
    return key is None or isinstance(key, str | float | bytes | memoryview)


def unpack(data: bytes | memoryview) -> Any:
    """The one value that `data` holds.

    Raises:
        WireError: `bad_frame` if it is not exactly one MessagePack value within the limits.
    """
    exts_before = _reading.exts
    try:
        value = msgpack.unpackb(data, raw=False, strict_map_key=False, ext_hook=_read_ext, timestamp=3, use_list=True)
    except WireError:
        raise
    except (ValueError, TypeError, msgpack.UnpackException, RecursionError, OverflowError) as error:
        reason = str(error) or type(error).__name__
        raise WireError(f"not readable as MessagePack: {reason}", code="bad_frame") from error
    if _reading.exts != exts_before:
        _refuse_ext_keys(value)
    return value


class _Reading:
    """Counts extension values read, so that frames without any (nearly all) need no second look, and their depth."""

    exts = 0
    nested = 0


_reading: Final = _Reading()


def _refuse_ext_keys(value: Any) -> None:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if item.__class__ is dict:
            for key in item:
                if key.__class__ not in _KEY_TYPES or (key.__class__ is int and not -(2**63) <= key < 2**64):
                    raise WireError(f"a map key of type {type(key).__name__}", code="bad_frame")
            waiting.extend(item.values())
        elif item.__class__ in _CONTAINERS:
            waiting.extend(item)


def _write_other(value: Any) -> Any:
    """What the C packer asks about: everything that is not exactly a plain type, and integers over 64 bit."""
    _writing.others += 1
    for kind, write in _WRITERS:
        if isinstance(value, kind):
            return write(value)
    raise WireError(
        f"a value of type {type(value).__name__} has no form on the wire; "
        "return text, numbers, bytes, lists, maps, tuples, sets or dates",
        code="unencodable_value",
    )


def _write_int(value: int) -> Any:
    if -(2**63) <= value < 2**64:
        return int(value)
    bits = value.bit_length() if value >= 0 else (value + 1).bit_length()
    length = bits // 8 + 1
    if length > MAX_BIG_INT_BYTES:
        raise WireError(
            f"an integer of {length} bytes is over the limit of {MAX_BIG_INT_BYTES}", code="unencodable_value"
        )
    return msgpack.ExtType(EXT_BIG_INT, value.to_bytes(length, "big", signed=True))


def _write_datetime(value: dt.datetime) -> Any:
    if value.tzinfo is None:
        return msgpack.ExtType(EXT_NAIVE_DATETIME, value.isoformat().encode())
    try:
        in_utc = value.astimezone(dt.UTC)
    except OverflowError:
        raise WireError(
            f"the date {value.isoformat()} lies outside the years 1 to 9999 of UTC", code="unencodable_value"
        ) from None
    return msgpack.Timestamp.from_datetime(in_utc)


def _write_time(value: dt.time) -> Any:
    if value.tzinfo is not None:
        raise WireError("a time of day with a time zone has no form on the wire", code="unencodable_value")
    return msgpack.ExtType(EXT_TIME, value.isoformat().encode())


_WRITERS: Final[tuple[tuple[type | tuple[type, ...], Any], ...]] = (
    (tuple, lambda value: _write_items(EXT_TUPLE, value)),
    ((set, frozenset), lambda value: _write_items(EXT_SET, value)),
    (bool, bool),
    (int, _write_int),
    (str, str.__str__),
    (dict, dict),
    (list, list),
    (float, float),
    (bytes, bytes),
    (memoryview, bytes),
    (dt.datetime, _write_datetime),
    (dt.date, lambda value: msgpack.ExtType(EXT_DATE, value.isoformat().encode())),
    (dt.time, _write_time),
)


def _write_items(ext: int, items: Iterable[Any]) -> Any:
    global _nested_exts
    _nested_exts += 1
    try:
        if _nested_exts > _MAX_NESTED_EXTS:
            raise WireError(f"tuples and sets nested deeper than {_MAX_NESTED_EXTS} levels", code="unencodable_value")
        return msgpack.ExtType(ext, _new_packer().pack(list(items)))
    finally:
        _nested_exts -= 1


def _new_packer() -> Any:
    # The C packer is not re-entrant: a value within a value gets its own.
    return msgpack.Packer(default=_write_other, use_bin_type=True, strict_types=True)


def _read_ext(code: int, payload: bytes) -> Any:
    _reading.exts += 1
    try:
        reader = _READERS[code]
    except KeyError:
        raise WireError(f"unknown extension type {code}", code="bad_frame") from None
    return reader(payload)


def _read_big_int(payload: bytes) -> int:
    if not 0 < len(payload) <= MAX_BIG_INT_BYTES:
        raise WireError(f"a big integer of {len(payload)} bytes", code="bad_frame")
    return int.from_bytes(payload, "big", signed=True)


def _read_items(payload: bytes) -> list[Any]:
    _reading.nested += 1
    try:
        if _reading.nested > _MAX_READ_NESTED_EXTS:
            raise WireError(f"tuples and sets nested deeper than {_MAX_READ_NESTED_EXTS} levels", code="bad_frame")
        items = unpack(payload)
    finally:
        _reading.nested -= 1
    if items.__class__ is not list:
        raise WireError("the payload of a tuple or set is not an array", code="bad_frame")
    return items


_READERS: Final[dict[int, Any]] = {
    EXT_BIG_INT: _read_big_int,
    EXT_TUPLE: lambda payload: tuple(_read_items(payload)),
    EXT_SET: lambda payload: set(_read_items(payload)),
    EXT_NAIVE_DATETIME: lambda payload: _read_naive(dt.datetime.fromisoformat(payload.decode("ascii"))),
    EXT_DATE: lambda payload: dt.date.fromisoformat(payload.decode("ascii")),
    EXT_TIME: lambda payload: _read_naive(dt.time.fromisoformat(payload.decode("ascii"))),
}


def _read_naive(value: Any) -> Any:
    if value.tzinfo is not None:
        raise WireError("a naive date or time carries a time zone", code="bad_frame")
    return value


_nested_exts = 0
_packer = _new_packer()
