"""Finds and checks a model file before any backend sees it, so that a bad one gets a plain sentence.

llama.cpp answers every bad file with "failed to init" and can abort on some. Reads the first bytes only.
Blocks on disks: the gateway calls it in a thread.
"""

from __future__ import annotations

import os
import stat
import struct
from typing import Final

from graphport.contracts.inference import ModelFile
from graphport.core.errors import InferenceError

_MAGIC: Final = b"GGUF"
_HEADER: Final = struct.Struct("<4sIQQ")  # magic, version, number of tensors, number of metadata entries
_VERSIONS: Final = (2, 3)
# The smallest useful tensor and metadata records; counts that cannot fit into the file are lies.
_MIN_TENSOR_BYTES: Final = 32
_MIN_ENTRY_BYTES: Final = 12


def resolve_model(path: str) -> ModelFile:
    """The model file at `path`; for a folder its first `.gguf` file in order of names.

    Raises:
        InferenceError: `model_not_found` or `invalid_model`, each saying what to do.
    """
    if not path or "\0" in path:
        raise _not_found(path, "Give the path of a .gguf file or of a folder that holds one.")
    real = os.path.realpath(os.path.expanduser(path))
    try:
        status = os.stat(real)
        if stat.S_ISDIR(status.st_mode):
            real = os.path.realpath(_first_gguf(real))
            status = os.stat(real)
        if not stat.S_ISREG(status.st_mode):
            raise _invalid(real, "it is not a regular file")
        with open(real, "rb") as file:
            header = file.read(_HEADER.size)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _not_found(path, "Check the path, or install a model with `graphport models install smollm2`.") from error
    except PermissionError as error:
        raise _invalid(real, "it may not be read by this user; change its permissions") from error
    except OSError as error:
        raise _invalid(real, f"it cannot be read ({error.strerror or error})") from error
    _check_header(real, header, status.st_size)
    return ModelFile(path=real, size=status.st_size, modified_ns=status.st_mtime_ns)


def _first_gguf(folder: str) -> str:
    names = sorted(name for name in os.listdir(folder) if name.lower().endswith(".gguf"))
    for name in names:
        if os.path.isfile(os.path.join(folder, name)):
            return os.path.join(folder, name)
    raise _not_found(folder, "The folder holds no .gguf file; put one there or name the file itself.")


def _check_header(path: str, header: bytes, size: int) -> None:
    if size == 0:
        raise _invalid(path, "it is empty; fetch it again")
    if header[:4] != _MAGIC:
        raise _invalid(path, "it does not start with the letters GGUF, so it is some other kind of file")
    if len(header) < _HEADER.size:
        raise _invalid(path, "it is cut off after a few bytes; fetch it again")
    _, version, tensors, entries = _HEADER.unpack(header)
    if version not in _VERSIONS:
        raise _invalid(path, f"it has GGUF version {version}, expected 2 or 3; convert it again")
    if tensors * _MIN_TENSOR_BYTES + entries * _MIN_ENTRY_BYTES > size:
        raise _invalid(path, "it is shorter than its own table of contents; fetch it again")


def _not_found(path: str, what_to_do: str) -> InferenceError:
    return InferenceError(f"There is no model at {path!r}. {what_to_do}", code="model_not_found")


def _invalid(path: str, reason: str) -> InferenceError:
    return InferenceError(f"The model file {path!r} cannot be used: {reason}.", code="invalid_model")
