"""
Compiles the way of frames in C: one library for CPython 3.11 and later, by its limited API. Needs nothing installed.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

SOURCE = "native/module.c"
LIBRARY = "_hot.abi3.so"
FLAGS = ("-std=c11", "-D_DEFAULT_SOURCE", "-O3", "-Wall", "-fPIC", "-fvisibility=hidden")


def compile_into(root: Path, target: Path) -> str | None:
    """Compile, link and try the library; why there is none, or None."""
    if os.environ.get("OFFHOOK_BUILD_COMPILED") == "0":
        return "as OFFHOOK_BUILD_COMPILED says"
    if os.name != "posix" or sys.implementation.name != "cpython":
        return f"which is for CPython on POSIX and not for {sys.implementation.name} on {os.name}"
    include = sysconfig.get_path("include")
    if not Path(include, "Python.h").exists():
        return f"no Python.h in {include}"
    compiler = (
        shlex.split(os.environ.get("CC", ""))
        or [found for name in ("cc", "gcc", "clang") if (found := shutil.which(name))][:1]
    )
    if not compiler:
        return "no C compiler"
    shared = ("-bundle", "-undefined", "dynamic_lookup") if sys.platform == "darwin" else ("-shared",)
    named = f'-DOFFHOOK_SOURCES="{sources(root)}"'
    command = [*compiler, *FLAGS, named, *shared, f"-I{include}", str(root / SOURCE), "-o", str(target)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return f"{compiler[0]} failed: {(done.stderr.strip().splitlines() or ['without a word'])[0]}"
        return tried(target)
    except OSError as error:
        return f"{compiler[0]}: {error.strerror}"


def sources(root: Path) -> str:
    """The C sources as one short name, by which src/offhook/net/hot.py knows a library that is not of them."""
    digest = hashlib.sha256()
    for path in sorted((root / "native").glob("*.[ch]")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def tried(target: Path) -> str | None:
    """Whether this Python can load what was made: a wheel that cannot be imported is worse than none."""
    code = f"import importlib.util as u; u.module_from_spec(u.spec_from_file_location('offhook._hot', {str(target)!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    target.unlink(missing_ok=True)
    return f"it does not load: {(done.stderr.strip().splitlines() or ['without a word'])[-1]}"


def platform_tag() -> str:
    """As wheels name this platform."""
    return sysconfig.get_platform().replace("-", "_").replace(".", "_")
