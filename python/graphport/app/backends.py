"""The model backends by name: which is installed, which is taken, and the gateway over it.

Nothing is imported or run to find out. Called by `chosen_gateway` and by `doctor`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from graphport.core.errors import InferenceError
from graphport.inference.external import KEY_VARIABLE, URL_VARIABLE, ExternalGateway
from graphport.inference.gateway import LocalGateway
from graphport.inference.profiles.llama_server import PATH_VARIABLE, LlamaServerProfile
from graphport.inference.profiles.llamacpp_python import LlamacppPythonProfile
from graphport.inference.profiles.xllamacpp import XllamacppProfile
from graphport.process.child import LocalSpawner

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphport.contracts.inference import ModelLibrary

BACKEND_VARIABLE: Final = "GRAPHPORT_BACKEND"
_Profile = XllamacppProfile | LlamacppPythonProfile | LlamaServerProfile


class Backends:
    """What an environment offers. Cheap to make."""

    def __init__(self, environment: Mapping[str, str] | None = None, profiles: Sequence[_Profile] = ()) -> None:
        """Take settings and profiles.

        Args:
            environment: variables; None is our own.
            profiles: in the order in which they are looked for; empty is every kind there is.
        """
        self._environment = os.environ if environment is None else environment
        self.profiles: tuple[_Profile, ...] = tuple(profiles) or (
            XllamacppProfile(),
            LlamacppPythonProfile(),
            LlamaServerProfile(self._environment.get(PATH_VARIABLE) or "llama-server"),
        )

    @property
    def url(self) -> str | None:
        """The URL of a server that runs already, if one is set."""
        return self._environment.get(URL_VARIABLE) or None

    def installed(self) -> list[str]:
        """Names of the backends that can be used, the best one first."""
        names: list[str] = [profile.name for profile in self.profiles if profile.is_installed()]
        return names if self.url is None else [ExternalGateway.name, *names]

    def chosen(self, wanted: str | None = None) -> str:
        """The backend to use: the one that is named, else a configured URL, else the first that is installed.

        Args:
            wanted: a name; None takes `GRAPHPORT_BACKEND`.

        Raises:
            InferenceError: `backend_unavailable` if the name is unknown, or if nothing is installed.
        """
        ways = {
            **{profile.name: profile.how_to_get for profile in self.profiles},
            "external": ExternalGateway.how_to_get,
        }
        wanted = wanted or self._environment.get(BACKEND_VARIABLE) or None
        if wanted is not None:
            if wanted not in ways:
                raise InferenceError(
                    f"There is no model backend {wanted!r}. Known are: {', '.join(ways)}.", code="backend_unavailable"
                )
            return wanted
        installed = self.installed()
        if not installed:
            told = "; ".join(f"{name}: {way}" for name, way in ways.items())
            raise InferenceError(
                f"No model backend is installed. One of these is needed. {told}.", code="backend_unavailable"
            )
        return installed[0]

    def gateway(self, name: str, library: ModelLibrary) -> LocalGateway | ExternalGateway:
        """A gateway over a backend that was `chosen`; nothing is started yet.

        Raises:
            InferenceError: `backend_unavailable` because the URL is none.
        """
        if name == ExternalGateway.name:
            return ExternalGateway(self.url or "", api_key=self._environment.get(KEY_VARIABLE) or None)
        profile = next(profile for profile in self.profiles if profile.name == name)
        return LocalGateway(profile, LocalSpawner(), library=library)
