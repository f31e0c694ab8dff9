"""Server processes, started once for all tests that take them as they are."""

from collections.abc import Iterator

import pytest
from tests.conformance.harness import ServerProcess


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """No greeting, no REST credentials."""
    process = ServerProcess(tmp_path_factory.mktemp("server"))
    yield process
    process.stop()


@pytest.fixture(scope="session")
def rest_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """With REST credentials and a greeting."""
    process = ServerProcess(
        tmp_path_factory.mktemp("rest"),
        env={"TWILIO_ACCOUNT_SID": "AC" + "0" * 32, "OFFHOOK_AGENT_GREETING": "Hello there."},
    )
    yield process
    process.stop()
