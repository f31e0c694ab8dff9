"""docs/testing.md is true: its examples are run as they stand, by a pytest of their own."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from tests.inner import PYTEST

PAGE = Path(__file__).parent.parent.parent / "docs" / "testing.md"


@pytest.mark.timeout(240)
def test_every_example_of_the_page_passes(tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
    assert len(blocks) >= 4
    for n, block in enumerate(blocks):
        (tmp_path / f"test_example_{n}.py").write_text(block)
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("OFFHOOK_", "PYTEST"))}
    done = subprocess.run(
        [*PYTEST, "-W", "error", str(tmp_path)],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=80,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\b6 passed", done.stdout), done.stdout
