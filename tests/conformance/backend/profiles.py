"""The worker profiles that must pass the suite in this folder. A new profile adds one line to `PROFILES`."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from graphport.inference.profiles.xllamacpp import XllamacppProfile

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphport.contracts.inference import WorkerProfile


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """A profile under test.

    Attributes:
        make: makes the profile.
        module: the file in `graphport/inference/profiles` that it comes from.
        needs: package without which it cannot run here.
    """

    make: Callable[[], WorkerProfile]
    module: str
    needs: str

    @property
    def installed(self) -> bool:
        """Whether it can run here."""
        return importlib.util.find_spec(self.needs) is not None


PROFILES: Final = (Enrolled(make=XllamacppProfile, module="xllamacpp", needs="xllamacpp"),)
