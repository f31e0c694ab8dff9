"""The console's files: who gets them, under which policy, and that they are what their source makes."""

import asyncio
import gzip
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from offhook.console.pages import DIST, with_console

ROOT = Path(__file__).parent.parent.parent
SOURCE = ROOT / "console"


async def _core(scope, receive, send):
    await send({"type": "http.response.start", "status": 299, "headers": []})
    await send({"type": "http.response.body", "body": b"the core's"})


def ask(path, *, method="GET", host="127.0.0.1:8080", **headers):
    """Status, headers and body of one request."""
    told = []

    async def send(message):
        told.append(message)

    given = [(b"host", host.encode()), *((name.replace("_", "-").encode(), v.encode()) for name, v in headers.items())]
    scope = {"type": "http", "method": method, "path": path, "headers": given}
    asyncio.run(with_console(_core, lambda: ("voice.example.com",))(scope, None, send))
    assert [message["type"] for message in told] == ["http.response.start", "http.response.body"]
    named = {name.decode(): value.decode() for name, value in told[0]["headers"]}
    return told[0]["status"], named, told[1]["body"]


def test_the_page_runs_no_script_but_its_own_and_is_in_nobodys_frame():
    status, headers, body = ask("/console/")
    assert status == 200 and headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["object-src"] == policy["base-uri"] == "'none'"
    assert headers["x-content-type-options"] == "nosniff" and headers["x-frame-options"] == "DENY"
    text = body.decode()
    assert not re.search(r"<script(?![^>]* src=)|<style| style=| on[a-z]+=", text), text
    # relative, so that a proxy may put it anywhere, and every one of them is there
    for address in re.findall(r'(?:src|href)="([^"]+)"', text):
        assert address.startswith("./"), address
        status, headers, _ = ask("/console/" + address.removeprefix("./"))
        assert status == 200, address
        assert ("immutable" in headers["cache-control"]) is ("/assets/" in address)


def test_nothing_of_the_console_names_another_host():
    for path in DIST.rglob("*.*"):
        hosts = set(re.findall(r"(?:https?|wss?)://([\w.-]+)", path.read_text()))
        assert hosts <= {"www.w3.org", "svelte.dev", "HOST"}, (path.name, hosts)  # namespaces, error texts, a hint


def test_a_name_that_is_not_this_servers_gets_nothing():
    status, _, body = ask("/console/", host="evil.example")
    assert status == 421 and b"evil.example" in body and b"api.hosts" in body and b"<" not in body
    for host in ("voice.example.com", "localhost:1", "[::1]:8080"):
        assert ask("/console/", host=host)[0] == 200


def test_browsers_find_it_and_carriers_keep_their_paths():
    for path in ("/", "/console"):
        status, headers, _ = ask(path, accept="text/html,*/*")
        assert (status, headers["location"]) == (307, "console/")
    assert ask("/", accept="*/*")[0] == 299 and ask("/", method="POST", accept="text/html")[0] == 299
    assert ask("/consoles")[0] == ask("/twilio/voice")[0] == 299
    assert ask("/console/", method="POST")[0] == 405
    assert ask("/console/../pages.py")[0] == ask("/console/assets/none.js")[0] == 404
    status, headers, body = ask("/console/", method="HEAD")
    assert (status, body) == (200, b"") and int(headers["content-length"]) > 300


def test_files_are_packed_for_whoever_takes_that():
    _, headers, packed = ask("/console/", accept_encoding="gzip, br")
    assert headers["content-encoding"] == "gzip" and gzip.decompress(packed) == ask("/console/")[2]


def test_nothing_is_ever_put_into_a_page_as_markup():
    for path in SOURCE.joinpath("src").rglob("*.*"):
        assert not re.search(r"\{@html|innerHTML|insertAdjacentHTML|document\.write|\beval\(", path.read_text()), path


def test_make_console_says_what_it_needs_where_there_is_no_node(tmp_path):
    for name in ("make", "sh", "echo", "test"):
        if found := shutil.which(name):
            (tmp_path / name).symlink_to(found)
    ran = subprocess.run(
        ["make", "console"], cwd=ROOT, env={"PATH": str(tmp_path)}, capture_output=True, text=True, timeout=80
    )
    assert ran.returncode != 0 and "needs Node 20.19" in ran.stdout and "dist has the pages" in ran.stdout


NO_NODE = "needs Node and console/node_modules (make console): the built pages are not compared with their source"


@pytest.mark.skipif(not (shutil.which("npm") and (SOURCE / "node_modules").is_dir()), reason=NO_NODE)
@pytest.mark.timeout(240)
def test_the_built_pages_and_types_are_what_their_source_makes(tmp_path):
    def run(*command):
        ran = subprocess.run(["npx", *command], cwd=SOURCE, capture_output=True, text=True, timeout=80)
        assert ran.returncode == 0, ran.stdout + ran.stderr

    run("openapi-typescript", "../docs/openapi.json", "-o", str(tmp_path / "schema.ts"))
    assert (tmp_path / "schema.ts").read_text() == (SOURCE / "src/lib/schema.ts").read_text(), "run: make console"
    run("vite", "build", "--outDir", str(tmp_path / "dist"), "--logLevel", "error")
    built = {path.relative_to(tmp_path / "dist"): path.read_bytes() for path in (tmp_path / "dist").rglob("*.*")}
    assert built == {path.relative_to(DIST): path.read_bytes() for path in DIST.rglob("*.*")}, "run: make console"


def test_the_lock_names_no_registry():
    lock = json.loads((SOURCE / "package-lock.json").read_text())
    assert not [name for name, one in lock["packages"].items() if "resolved" in one]
