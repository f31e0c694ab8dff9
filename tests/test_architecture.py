"""Who may import whom: the table of docs/architecture.md, enforced."""

import ast
import re
from pathlib import Path

import pytest

SRC = Path(__file__).parent.parent / "src" / "offhook"

# part -> parts it may import (itself always). The order is the table of docs/architecture.md.
ALLOWED: dict[str, set[str]] = {
    "vocab": set(),
    "media": {"vocab"},
    "wires/_wire": {"vocab", "media"},
    "wires/_checks": {"wires/_wire"},
    "wires/_judge": {"wires/_wire"},
    "wires/carriers": {"wires/_wire", "vocab", "media"},
    "wires/providers": {"wires/_wire", "wires/_checks", "wires/_judge", "vocab", "media"},
    "claims": set(),
    "bridge": {"vocab", "media", "claims"},
    "settings": set(),
    "proxies": set(),
    "outward": set(),
    "loopback": {"media", "wires/_wire", "wires/providers", "vocab"},
    "agent": {"vocab", "settings", "outward", "proxies"},
    "evidence": {"vocab", "media", "wires/_wire"},
    "store": {"evidence", "wires/_wire"},
    "after": {"agent", "evidence", "outward", "proxies", "settings", "store"},
    "diagnosis": {"claims", "evidence", "wires/_wire", "wires/carriers", "wires/providers", "vocab", "media"},
    "sims": {
        "wires/_wire", "wires/_judge", "wires/carriers", "wires/providers", "vocab", "media", "bridge", "evidence",
    },
    "dial": {
        "sims", "wires/_wire", "wires/_checks", "wires/_judge", "wires/carriers", "wires/providers", "media",
        "evidence", "diagnosis", "net", "vocab", "loopback",
    },
    "checks": {
        "sims", "wires/_wire", "wires/carriers", "wires/providers", "media", "diagnosis", "net",
        "settings", "agent", "vocab", "loopback", "bridge", "wires/_checks", "evidence", "outward", "after",
        "proxies", "store", "traces",
    },
    "testing": {
        "sims", "checks", "settings", "diagnosis", "evidence", "net", "media", "wires/_wire", "wires/carriers",
        "agent",
    },
    "talk": {"net", "wires/_wire", "wires/carriers", "media"},
    "replay": {"evidence", "diagnosis", "sims", "media", "wires/_wire", "wires/_judge", "tap", "dial", "net"},
    "tap": {
        "wires/_wire", "wires/_judge", "wires/carriers", "wires/providers", "vocab", "media", "evidence", "net", "sims",
    },
    "traces": {"evidence", "diagnosis"},
    "api": {
        "vocab", "evidence", "diagnosis", "store", "settings", "checks", "net", "wires/_wire", "sims",
    },
    "console": {"api"},
    "net": {
        "vocab", "media", "wires/_wire", "wires/carriers", "wires/providers", "bridge", "settings",
        "agent", "evidence", "proxies",
    },
}  # fmt: skip

PURE = ("claims", "vocab", "media", "wires", "bridge", "diagnosis", "evidence/record")
IMPURE_MODULES = {"asyncio", "socket", "time", "random", "os", "threading", "secrets"}

FILES = sorted(path.relative_to(SRC).with_suffix("").as_posix() for path in SRC.rglob("*.py"))


def part_of(module: str) -> str:
    """The row of the table that ``a/b/c`` (a path without suffix) belongs to."""
    for part in sorted(ALLOWED, key=len, reverse=True):
        if module == part or module.startswith(part + "/"):
            return part
    return module.split("/")[0]


def imports_of(module: str) -> list[tuple[str, int]]:
    tree = ast.parse((SRC / f"{module}.py").read_text())
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno} imports relatively"
            found.append((node.module or "", node.lineno))
            if node.module and node.module.startswith("offhook"):
                found += [
                    (f"{node.module}.{alias.name}", node.lineno)
                    for alias in node.names
                    if (SRC / f"{node.module}.{alias.name}".removeprefix("offhook.").replace(".", "/")).exists()
                    or (
                        SRC / (f"{node.module}.{alias.name}".removeprefix("offhook.").replace(".", "/") + ".py")
                    ).exists()
                ]
    return found


@pytest.mark.parametrize("module", [m for m in FILES if not m.startswith(("cli/", "__"))])
def test_a_part_imports_only_what_the_table_allows(module: str):
    part = part_of(module)
    if part == "wires":  # wires/__init__ and the folders' own __init__
        return
    for name, line in imports_of(module):
        if not name.startswith("offhook."):
            continue
        target = name.removeprefix("offhook.").replace(".", "/")
        if target in ("wires", "wires/carriers", "wires/providers", "media", "evidence", "sims", "net"):
            continue  # the package itself; its modules are judged one by one
        other = part_of(target)
        if other == part and part in ("wires/carriers", "wires/providers"):
            same = target.split("/")[2].lstrip("_").split("_")[0] == module.split("/")[2].lstrip("_").split("_")[0]
            assert same, f"{module}:{line}: a wire imports another wire, {name}"
            continue
        if part == "sims" and other == "net":
            assert module.split("/")[1].startswith("run_"), f"{module}:{line}: only the drivers import net"
            continue
        assert other == part or other in ALLOWED[part], f"{module}:{line} imports {name}"


@pytest.mark.parametrize("module", [m for m in FILES if any(m == part or m.startswith(part + "/") for part in PURE)])
def test_the_pure_part_knows_no_clock_and_no_network(module: str):
    if module == "media/lines":  # the one loader of shipped and of the user's own audio files
        return
    for name, line in imports_of(module):
        assert name.split(".")[0] not in IMPURE_MODULES, f"{module}:{line} imports {name}"


def rows() -> dict[str, str]:
    """The table of the page: what a part imports, by part."""
    page = (SRC.parents[1] / "docs" / "architecture.md").read_text()
    table = page.partition("## Who may import whom")[2].partition("\n\n`tests/")[0]
    found = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| `")]
    return {name.removesuffix(".py").rstrip("/"): cells[-1] for cells in found
            for name in re.findall(r"`([^`]+)`", cells[0])}  # fmt: skip


def test_the_page_has_a_row_for_every_part_and_says_what_it_imports():
    told = rows()
    assert set(told) - {"cli"} == set(ALLOWED)
    for part, others in ALLOWED.items():
        names = set(re.findall(r"[a-z_]+", told[part].partition(";")[0]))
        wanted = {"_wire" if other in ("wires/_wire", "wires/_checks", "wires/_judge") else other.split("/")[0]
                  for other in others}  # fmt: skip
        missing = {name for name in wanted - names if not (name == "_wire" and "wires" in names)}
        assert not missing, f"{part}: the page does not say {sorted(missing)}"
        extra = names - wanted - {"nothing", "wires", "_wire", "carriers", "_"}
        assert not extra, f"{part}: the page says {sorted(extra)}, which the test does not allow"


def test_nobody_imports_the_command_line():
    for module in FILES:
        if not module.startswith(("cli", "__main__", "__init__")):  # the last: `from offhook import serve`
            assert not any(name.startswith("offhook.cli") for name, _ in imports_of(module)), module
