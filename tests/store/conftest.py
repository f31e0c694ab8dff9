"""Every test of the store's own behaviour runs on both databases."""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.store.kit import Postgres, postgres_binaries, postgres_server, writer

from offhook.store.database import default_url, engine
from offhook.store.queries import Reader
from offhook.store.writer import Writer


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    if postgres_binaries() is None:
        if os.environ.get("CI"):
            pytest.fail("CI has no Postgres: .ci/run installs it (apt-get install postgresql)")
        pytest.skip("NO POSTGRES ON THIS MACHINE: half of the store is not tested (apt-get install postgresql)")
    with tempfile.TemporaryDirectory(prefix="offhook-pg-", dir="/tmp") as folder:  # a socket's path must be short
        Path(folder).chmod(0o755)
        yield from postgres_server(Path(folder) / "pg")


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty store."""
    if request.param == "sqlite":
        return default_url(tmp_path / "calls")
    server: Postgres = request.getfixturevalue("postgres")
    target = engine(server.url)
    with target.begin() as connection:
        connection.execute(sa.text("DROP SCHEMA public CASCADE"))
        connection.execute(sa.text("CREATE SCHEMA public"))
    target.dispose()
    return server.url


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    """The directory of records."""
    (tmp_path / "calls").mkdir()
    return tmp_path / "calls"


@pytest.fixture
def store(url: str, calls: Path) -> Iterator[Callable[..., Writer]]:
    """Makes writers of the store, and lets go of them."""
    made: list[Writer] = []

    def make(**given: object) -> Writer:
        made.append(writer(url, calls, **given))
        return made[-1]

    yield make
    for one in made:
        one.stop()


@pytest.fixture
def target(url: str, calls: Path) -> Iterator[sa.Engine]:
    """The database itself."""
    made = engine(url, write=True)
    yield made
    made.dispose()


@pytest.fixture
def reader(url: str) -> Iterator[Callable[..., Reader]]:
    """Makes readers of the store, and lets go of them."""
    made: list[Reader] = []

    def make(*given: object) -> Reader:
        made.append(Reader(url, *given))
        return made[-1]

    yield make
    for one in made:
        one.close()
