"""Which backend is taken, and what is said when none is."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from graphport.app.backends import Backends
from graphport.app.chosen_gateway import ChosenGateway
from graphport.app.engine import Composition
from graphport.app.models import ModelFolder
from graphport.contracts.inference import ChatMessage, ChatRequest
from graphport.core.errors import InferenceError
from graphport.inference.external import ExternalGateway
from graphport.inference.gateway import LocalGateway
from graphport.inference.profiles.llama_server import LlamaServerProfile
from graphport.inference.profiles.llamacpp_python import LlamacppPythonProfile
from graphport.inference.profiles.xllamacpp import XllamacppProfile
from graphport.testing.sink import RecordingSink

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("xllamacpp", "llama-cpp-python", "llama-server")
URL = {"GRAPHPORT_LLAMA_URL": "http://127.0.0.1:8080"}


def having(*installed: str, environment: dict[str, str] | None = None) -> Backends:
    """Backends of which only these are found; something else stands for what they look for."""

    def found(name: str, something: str) -> str:
        return something if name in installed else "surely_not_installed"

    profiles = (
        XllamacppProfile(package=found("xllamacpp", "json")),
        LlamacppPythonProfile(packages=("json", found("llama-cpp-python", "json"))),
        LlamaServerProfile(found("llama-server", "sh")),
    )
    return Backends({} if environment is None else environment, profiles)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_the_first_that_is_installed_is_taken(number: int) -> None:
    assert having(*NAMES[number:]).chosen() == NAMES[number]


def test_every_kind_is_looked_for() -> None:
    assert tuple(profile.name for profile in Backends({}).profiles) == NAMES


def test_a_name_goes_before_what_is_installed() -> None:
    backends = having(*NAMES, environment={"GRAPHPORT_BACKEND": "llama-server", **URL})

    assert backends.chosen() == "llama-server"
    assert backends.chosen("external") == "external"
    assert having(*NAMES).chosen("llama-cpp-python") == "llama-cpp-python"


def test_a_url_goes_before_what_is_installed() -> None:
    assert having(*NAMES, environment=URL).chosen() == "external"


def test_without_any_the_error_names_every_way() -> None:
    with pytest.raises(InferenceError) as caught:
        having().chosen()

    assert caught.value.code == "backend_unavailable"
    for way in ("graphport[local]", "graphport[llama-cpp-python]", "GRAPHPORT_LLAMA_SERVER", "GRAPHPORT_LLAMA_URL"):
        assert way in caught.value.message


def test_an_unknown_name_is_an_error_that_lists_the_known() -> None:
    with pytest.raises(InferenceError) as caught:
        having(*NAMES).chosen("llama")

    assert caught.value.code == "backend_unavailable"
    assert "xllamacpp, llama-cpp-python, llama-server, external" in caught.value.message


@pytest.mark.parametrize("profile", having().profiles, ids=NAMES)
def test_a_chosen_backend_that_is_missing_says_how_to_get_it(
    profile: XllamacppProfile | LlamacppPythonProfile | LlamaServerProfile,
) -> None:
    with pytest.raises(InferenceError) as caught:
        profile.check_available()

    assert caught.value.code == "backend_unavailable"
    assert profile.how_to_get[1:] in caught.value.message


@pytest.mark.anyio
@pytest.mark.parametrize(("environment", "kind"), [({}, LocalGateway), (URL, ExternalGateway)])
async def test_the_gateway_is_over_the_chosen_one(tmp_path: Path, environment: dict[str, str], kind: type) -> None:
    gateway = ChosenGateway(parts=lambda: (having("xllamacpp", environment=environment), ModelFolder(tmp_path)))

    first, second = await asyncio.gather(gateway.ready(), gateway.ready())

    assert type(first) is kind
    assert first is second
    await gateway.close()


@pytest.mark.anyio
async def test_what_is_installed_later_is_found(tmp_path: Path) -> None:
    environment: dict[str, str] = {}
    gateway = ChosenGateway(parts=lambda: (having(environment=environment), ModelFolder(tmp_path)))
    assert await gateway.unload("m") == 0
    with pytest.raises(InferenceError) as caught:
        await gateway.ready()
    assert caught.value.code == "backend_unavailable"

    environment.update(URL)

    assert type(await gateway.ready()) is ExternalGateway


@pytest.mark.anyio
async def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Port 1 of this machine has no listener."""
    environment = {"GRAPHPORT_LLAMA_URL": "http://127.0.0.1:1/v1"}
    gateway = ChosenGateway(parts=lambda: (having(environment=environment), ModelFolder(tmp_path)))
    request = ChatRequest(messages=(ChatMessage(role="user", content="hi"),))

    with pytest.raises(InferenceError) as caught:
        await anext(gateway.chat("m", request))

    assert caught.value.code == "backend_unavailable"
    assert "http://127.0.0.1:1" in caught.value.message
    await gateway.close()


@pytest.mark.parametrize("url", ["", "host:1", "ftp://host", "http://", "http://h?x=1", "http://me:secret@host/v1"])
def test_a_url_that_is_none_is_refused_and_its_password_not_repeated(url: str, tmp_path: Path) -> None:
    with pytest.raises(InferenceError) as caught:
        having(environment={"GRAPHPORT_LLAMA_URL": url}).gateway("external", ModelFolder(tmp_path))

    assert caught.value.code == "backend_unavailable"
    assert "secret" not in caught.value.message
    assert "GRAPHPORT_LLAMA_URL" in caught.value.message


@pytest.mark.anyio
async def test_an_engine_takes_the_name_from_its_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHPORT_BACKEND", "xllamacpp")
    composition = Composition([])
    evaluator = composition.start(RecordingSink(), {"backend": "no such"})
    gateway: ChosenGateway = evaluator.services["inference"]

    with pytest.raises(InferenceError) as caught:
        await gateway.ready()

    assert caught.value.code == "backend_unavailable"
    assert "'no such'" in caught.value.message
    await composition.stop()
