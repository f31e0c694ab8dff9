"""What a session of tests shares: the demo, which takes half a minute of real time and little of a processor."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


class Demo:
    """``offhook demo`` with two of its lines swapped, in a namespace with no network where one can be made."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "calls"
        command = [sys.executable, "-m", "offhook", "demo", "--out", "calls", "--swap"]  # relative, as the help has it
        if os.geteuid() == 0 and shutil.which("unshare") and shutil.which("ip"):
            command = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *command]
        self._command, self._environment = command, {**os.environ, "PYTHONPATH": str(ROOT / "src"), "NO_COLOR": "1"}
        self._files = [folder / "stdout", folder / "stderr"]
        self._began = 0.0
        self.process: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        self._began = time.time()
        with self._files[0].open("wb") as out, self._files[1].open("wb") as err:
            self.process = subprocess.Popen(
                self._command, stdout=out, stderr=err, env=self._environment, cwd=self.folder.parent
            )

    def ended(self) -> tuple[int, str, str, float]:
        """Exit code, what it printed on both channels, and the seconds until its last word."""
        if self.process is None:
            self.begin()
        code = self.process.wait(timeout=90)
        out, err = (path.read_text() for path in self._files)
        return code, out, err, self._files[0].stat().st_mtime - self._began


@pytest.fixture(scope="session", autouse=True)
def demo(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """Begun before the first test, so that nobody waits for it; of several workers by the one that has its test."""
    made = Demo(tmp_path_factory.mktemp("demo"))
    wanted = any(item.path.name == "test_demo.py" for item in request.session.items)
    if wanted and "PYTEST_XDIST_WORKER" not in os.environ:
        made.begin()
    yield made
    if made.process is not None and made.process.poll() is None:
        made.process.terminate()
        made.process.wait(timeout=10)
