"""The compiled part is built where that can be, and missed nowhere else."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def _build():
    spec = importlib.util.spec_from_file_location("build_of_native", ROOT / "native" / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


build = _build()


def run(code, *options):
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    return subprocess.run([sys.executable, *options, "-c", code], capture_output=True, text=True, env=env, check=False)


def test_what_is_compiled_can_be_loaded(tmp_path):
    why = build.compile_into(ROOT, tmp_path / build.LIBRARY)
    if why is not None:
        pytest.skip(f"here it cannot be compiled: {why}")
    code = f"""
import importlib.util as u
spec = u.spec_from_file_location("offhook._hot", {str(tmp_path / build.LIBRARY)!r})
hot = u.module_from_spec(spec)
print(hot.Pattern(("a", "any", "", 0, 0, False)).match(b'{{"a":1}}', (b"", b"", b""), b""))
"""
    assert run(code).stdout == "0\n"


@pytest.mark.parametrize("name,value,why", [
    ("OFFHOOK_BUILD_COMPILED", "0", "as OFFHOOK_BUILD_COMPILED says"),
    ("CC", "/nowhere/cc", "/nowhere/cc: No such file or directory"),
    ("CC", "false", "false failed: without a word"),
])  # fmt: skip
def test_a_machine_on_which_it_cannot_be_compiled_is_told_why(tmp_path, monkeypatch, name, value, why):
    monkeypatch.setenv(name, value)
    assert build.compile_into(ROOT, tmp_path / build.LIBRARY) == why
    assert not (tmp_path / build.LIBRARY).exists()


def test_without_a_compiler_in_the_path_it_is_told_too(tmp_path, monkeypatch):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert build.compile_into(ROOT, tmp_path / build.LIBRARY) == "no C compiler"


def test_a_library_that_does_not_load_is_taken_away(tmp_path):
    (tmp_path / build.LIBRARY).write_bytes(b"no library")
    assert "it does not load" in build.tried(tmp_path / build.LIBRARY)
    assert not (tmp_path / build.LIBRARY).exists()


def test_offhook_runs_without_it_and_says_so():
    code = """
import sys
sys.modules["offhook._hot"] = None
import offhook.cli.serve
from offhook.net.hot import path_of_frames
print(*path_of_frames(True), sep=": ")
"""
    done = run(code, "-W", "error")
    assert done.stdout == "python: the compiled part was not built: reinstall where a C compiler is\n", done.stderr


@pytest.mark.parametrize("built_of", ['"0123456789abcdef"', "None"])
def test_a_library_of_other_sources_is_not_used_and_named(built_of):
    """As after a pull that changed native/: a stale one once ended every call."""
    code = f"""
import sys, types
sys.modules["offhook._hot"] = types.SimpleNamespace(SOURCES={built_of})
from offhook.net.hot import hot, path_of_frames
assert hot is None
print(*path_of_frames(True), sep=": ")
"""
    done = run(code, "-W", "error")
    assert done.stdout.startswith("python: the compiled part is of other C sources"), done.stderr


def test_it_can_be_switched_off():
    from offhook.net.hot import hot, path_of_frames

    assert path_of_frames(False)[0] == "python"
    assert path_of_frames(True)[0] == ("python" if hot is None else "compiled")
