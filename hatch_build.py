"""
Builds the compiled way of frames (native/) with the package, where a C compiler and Python's headers are.

Without them, or with OFFHOOK_BUILD_COMPILED=0, the package is built without it and works the same, slower:
``offhook serve`` says which at its start.
"""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CompiledWay(BuildHookInterface):  # type: ignore[type-arg]
    """``pip install`` and ``pip wheel`` call it; a failing compiler is told and changes nothing."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        build = _load(root / "native" / "build.py")
        # an editable install finds the library beside the sources, a wheel gets it from a place of its own
        self._away = tempfile.TemporaryDirectory()  # goes with this hook, when the wheel is written
        place = root / "src" / "offhook" if version == "editable" else Path(self._away.name)
        target = place / build.LIBRARY
        if version == "editable":
            target.unlink(missing_ok=True)  # of another Python, or of other sources
        why = build.compile_into(root, target)
        if why is not None:
            self.app.display_warning(f"offhook: built without its compiled part, {why}; frames go their way in Python")
            return
        build_data["pure_python"] = False
        build_data["tag"] = f"cp311-abi3-{build.platform_tag()}"
        if version != "editable":
            build_data["force_include"][str(target)] = f"offhook/{build.LIBRARY}"


def _load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location("offhook_native_build", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
