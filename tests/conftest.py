"""What a session of tests shares: the demo, the order of the files, and a watch over its own end."""

import contextlib
import faulthandler
import gc
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Files that take longest, first: the workers of one session then end together. The demo is not among them: it is begun
# with the session and asked about late.
LONGEST = (
    "test_score.py", "conformance/test_life_cycle.py", "dial/test_passes.py", "test_settings.py",
    "replay/test_replay.py", "checks/test_checks.py", "console/test_axe.py", "console/test_proxy.py",
    "console/test_browser.py", "testing/test_docs_example.py", "console/test_talk_page.py", "api/test_schema.py",
    "dial/test_cli.py",
    "test_secrets.py", "test_telephone_commands.py", "test_readme.py", "net/test_poll.py", "test_never_silence.py",
    "dial/test_own_server.py", "test_peers.py", "conformance/test_writing.py", "api/test_api.py",
    "agent/test_tool_mcp.py", "dial/test_conformance.py", "test_evidence.py", "agent/test_tool_delegate.py",
    "test_talk_command.py", "dial/test_fakes.py", "dial/test_call.py", "test_record_size.py",
)  # fmt: skip
LAST = ("test_demo.py",)
# What a session may take to end after its last test; then it shows where it stands and is gone.
END_S = 60


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {str(ROOT / "tests" / name): n for n, name in enumerate(LONGEST)}
    places |= {str(ROOT / "tests" / name): len(places) + 1 for name in LAST}
    items.sort(key=lambda item: places.get(str(item.path), len(LONGEST)))


def pytest_collection_finish() -> None:
    """Six thousand tests and all that they imported stay for good: a look at them all takes the collector a second."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    """A thread or a child that never ends would hold the process, and with it whoever waits for it, for ever."""
    if "PYTEST_XDIST_WORKER" not in os.environ:  # a worker waits for the others, and is ended with them
        faulthandler.dump_traceback_later(END_S, exit=True, file=sys.__stderr__)


class Demo:
    """
    ``offhook demo`` with two of its lines swapped, in a namespace with no network where one can be made.

    Half a minute of real time and little of a processor. Of the workers of a session, which share ``folder``, the
    first begins it and any may ask.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder / "calls"
        self._began, self._out, self._err, self._code = (folder / name for name in ("began", "out", "err", "code"))
        self.process: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        """Unless another worker has."""
        try:
            self._began.touch(exist_ok=False)
        except FileExistsError:
            return
        command = [sys.executable, "-m", "offhook", "demo", "--out", "calls", "--swap"]  # relative, as the help has it
        if os.geteuid() == 0 and shutil.which("unshare") and shutil.which("ip"):
            command = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *command]
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                ["sh", "-c", '"$@"; echo $? > ended; mv ended code', "sh", *command],
                stdout=out, stderr=err, cwd=self.folder.parent, start_new_session=True,
                env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "NO_COLOR": "1"},
            )  # fmt: skip

    def ended(self) -> tuple[int, str, str, float]:
        """Exit code, what it printed on both channels, and the seconds until its last word."""
        until = time.monotonic() + 200
        while not self._code.exists():
            assert time.monotonic() < until, self._out.read_text() + self._err.read_text()
            time.sleep(0.1)
        took_s = self._out.stat().st_mtime - self._began.stat().st_mtime
        return int(self._code.read_text()), self._out.read_text(), self._err.read_text(), took_s

    def leave(self, wait_s: float) -> None:
        """Whoever began it sees it gone: by itself, or with everything in its process group."""
        if self.process is None:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=wait_s)
            return
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(timeout=80)


@pytest.fixture(scope="session", autouse=True)
def demo(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """Begun before the first test, so that nobody waits for it."""
    shared = "PYTEST_XDIST_WORKER" in os.environ  # then each worker's folder is in one of the session
    base = tmp_path_factory.getbasetemp()
    made = Demo((base.parent if shared else base) / "demo")
    if any(item.path.name == "test_demo.py" for item in request.session.items):
        made.begin()
    yield made
    made.leave(60 if shared and not request.session.shouldstop else 0.1)  # another worker may still ask
