"""
The pytest plugin: fixtures that make calls, phones, providers and servers, and clean up behind them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from offhook.testing.effects import VARIABLE

__all__ = ["offhook_background", "offhook_call", "offhook_phone", "offhook_provider", "offhook_server"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("offhook").addoption(
        "--offhook-side-effects",
        action="store_true",
        help="let the tools of the agent under test really do what they do",
    )


def pytest_configure(config: pytest.Config) -> None:
    if not config.getoption("--offhook-side-effects"):
        os.environ[VARIABLE] = "off"


def _all_closed(made: list[Any], how: str) -> None:
    for one in reversed(made):
        getattr(one, how)()


@pytest.fixture
def offhook_call() -> Iterator[Callable[..., Any]]:
    """Make calls to our bridge in virtual time: ``offhook_call("xai", greeting="Say hello.")``."""
    from offhook.testing.virtual import VirtualCall

    made: list[Any] = []

    def call(*args: Any, **kwargs: Any) -> VirtualCall:
        made.append(VirtualCall(*args, **kwargs))
        return made[-1]  # type: ignore[no-any-return]

    yield call
    _all_closed(made, "close")


@pytest.fixture
def offhook_background() -> Iterator[Any]:
    """The loop on which phones and fake providers of one test live."""
    from offhook.testing.loop import Background

    background = Background()
    yield background
    background.stop()


@pytest.fixture
def offhook_provider(offhook_background: Any) -> Iterator[Callable[..., Any]]:
    """Start fake providers: ``offhook_provider("openai", faults=["close-1011@5s"]).url``."""
    from offhook.testing.real import Provider

    made: list[Any] = []

    def provider(*args: Any, **kwargs: Any) -> Provider:
        made.append(Provider(offhook_background, *args, **kwargs))
        return made[-1]  # type: ignore[no-any-return]

    yield provider
    _all_closed(made, "close")


@pytest.fixture
def offhook_phone(offhook_background: Any) -> Iterator[Callable[..., Any]]:
    """Call any server over real sockets: ``offhook_phone("http://127.0.0.1:8080/voice")``."""
    from offhook.testing.real import PhoneCall

    made: list[Any] = []

    def phone(*args: Any, **kwargs: Any) -> PhoneCall:
        made.append(PhoneCall(offhook_background, *args, **kwargs))
        return made[-1]  # type: ignore[no-any-return]

    yield phone
    _all_closed(made, "close")


@pytest.fixture
def offhook_server() -> Iterator[Callable[..., Any]]:
    """Start the server under test: ``offhook_server(["python", "server.py"]).url``."""
    from offhook.testing.server import ServerProcess

    made: list[Any] = []

    def server(command: Sequence[str], **kwargs: Any) -> ServerProcess:
        made.append(ServerProcess(command, **kwargs))
        return made[-1]  # type: ignore[no-any-return]

    yield server
    _all_closed(made, "stop")
