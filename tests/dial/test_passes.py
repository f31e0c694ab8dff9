"""A foreign server called as often as its faults need: what hides what, what is lifted, what needs no call."""

import json
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.diagnosis.tape import good
from tests.dial.endpoints import ROOT

from offhook.dial.overrides import Declared, Mend, declared, mend_of, setting_for
from offhook.dial.plan import UsageError

pytestmark = pytest.mark.timeout(240)  # servers called in real time, side by side
SEED = ROOT / "examples" / "seed"
THREE = ["settings/wrong-provider", "provider-connect/dead-model", "carrier-stream/misspelt-field"]


def dial(tmp_path, server, *more, **environment):
    """The command as a user types it: its exit code, its words, and what it keeps for programs."""
    saved = tmp_path / "told.json"
    base = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "PYTHONPATH": str(ROOT / "src")}
    ran = subprocess.run(
        [sys.executable, "-m", "offhook", "dial", "--server", f"python {server}", "--fakes", "all", *more,
         "--out", str(tmp_path / "rec"), "--save", str(saved)],
        cwd=ROOT, capture_output=True, text=True, timeout=90, env={**base, "HOME": str(tmp_path), **environment},
    )  # fmt: skip
    assert saved.exists(), ran.stderr
    return ran.returncode, json.loads(saved.read_text()), ran.stdout


def plain(text):
    """Without what another run says otherwise: figures and where the records lie."""
    return re.sub(r"\d+(\.\d+)?", "N", re.sub(r"records .*", "records", text))


def rules(told):
    return [finding["rule"] for finding in told["findings"]]


SILENT = """
import asyncio, sys
from websockets.asyncio.server import serve
async def silent(ws):
    async for _ in ws:
        pass
async def main():
    async with serve(silent, "127.0.0.1", int(sys.argv[1])) as server:
        await server.serve_forever()
asyncio.run(main())
"""


@pytest.fixture(scope="module")
def dialled(tmp_path_factory):
    """What each of six dials says, side by side: most of their time they listen to a server that says nothing."""
    names = ("seed", "fixed", "dead", "right", "silent", "meant")
    folders = {name: tmp_path_factory.mktemp(name) for name in names}
    for name in ("fixed", "dead"):
        shutil.copy(SEED / "server.py", folders[name])
    (folders["fixed"] / "dial.toml").write_text(
        'url = "ws://127.0.0.1:{port}/media"\nprovider = "grok"\nmodel = "grok-2-realtime"\n'
    )
    right = {"VOICE_PROVIDER": "xai", "VOICE_MODEL": "grok-voice-latest", "VOICE_STREAM_FIELD": "streamSid"}
    silent = folders["silent"] / "server.py"
    silent.write_text(SILENT)
    nobody = (f"{silent} {{port}}", "ws://127.0.0.1:{port}/", "--scenario", "examples/scenarios/short.toml",
              "--passes", "1")  # fmt: skip
    with ThreadPoolExecutor(len(names)) as at_once:
        begun = {
            "seed": at_once.submit(dial, folders["seed"], "examples/seed/server.py"),
            "fixed": at_once.submit(dial, folders["fixed"], folders["fixed"] / "server.py"),
            "dead": at_once.submit(
                dial, folders["dead"], folders["dead"] / "server.py", "ws://127.0.0.1:{port}/media",
                "--provider", "xai", VOICE_PROVIDER="xai",
            ),
            "right": at_once.submit(dial, folders["right"], SEED / "server.py", **right),
            "silent": at_once.submit(dial, folders["silent"], *nobody),
            "meant": at_once.submit(dial, folders["meant"], *nobody, "--provider", "xai"),
        }  # fmt: skip
    return {name: ran.result() for name, ran in begun.items()}


def test_the_seed_s_three_faults_are_named_in_causal_order_and_all_of_them(dialled):
    code, told, words = dialled["seed"]
    assert code == 1 and told["verdict"] == "broken"
    assert rules(told) == THREE
    assert [finding["catalogue"] for finding in told["findings"]] == ["F-001", "F-092", "F-049"]
    assert all(finding["proof"] == "proven" for finding in told["findings"])
    assert [(done["what"], done["twilio_logs"], done["dialled"]) for done in told["passes"]] == [
        ("as it is", ["31951"], []),
        ("a key for every provider, lent", ["31951"], ["openai"]),
        ("VOICE_PROVIDER=xai", ["31951"], ["xai"]),
        ("VOICE_MODEL=grok-voice-latest", ["31951"], ["xai"]),
        ("VOICE_STREAM_FIELD=streamSid", [], ["xai"]),
    ]
    assert told["passes"][-1]["verdict"] == "healthy"
    assert [finding["rule"] for finding in told["consequences"]] == ["carrier-stream/unknown-event"]
    for page in (ROOT / "README.md", SEED / "README.md"):
        shown = page.read_text().partition("$ offhook dial --server")[2].partition("```")[0].splitlines()
        assert len(shown) > 15, page
        for line in map(plain, shown[1:]):
            assert line in plain(words), f"{page}: {line}"


def test_what_cannot_be_lifted_is_proven_without_a_call_or_at_the_wrong_provider(dialled):
    code, told, _ = dialled["fixed"]
    assert code == 1 and rules(told) == THREE
    assert [finding["would_hit_next"] for finding in told["findings"]] == [False, True, True]
    assert "without a call" in told["findings"][1]["how"]
    assert [done["what"] for done in told["passes"]] == ["as it is", "a key for every provider, lent"]


def test_a_dead_model_that_cannot_be_changed_is_taken_by_the_fake(dialled):
    code, told, _ = dialled["dead"]
    assert code == 1 and rules(told) == THREE[1:]
    assert [done["what"] for done in told["passes"]] == ["as it is", "the fake takes the dead model"]


def test_a_healthy_server_is_called_once(dialled):
    code, told, _ = dialled["right"]
    assert (code, told["verdict"], told["findings"], len(told["passes"])) == (0, "healthy", [], 1)


# ---------------------------------------------------------------------------------------------- overrides


def test_a_file_beside_the_server_says_what_can_be_changed_and_flags_win(tmp_path):
    (tmp_path / "app.py").touch()
    (tmp_path / "dial.toml").write_text('url = "ws://x"\nprovider = "xai"\n[override]\nA = "{model}"\nB = "b"\n')
    given = declared(f"python {tmp_path}/app.py --x", ["B=c"], "openai")
    assert (given.url, given.provider, given.override) == ("ws://x", "openai", {"A": "{model}", "B": "c"})
    assert given.file == str(tmp_path / "dial.toml")
    assert declared("python -m app") == Declared()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("urls = 1", "'urls' is unknown; wanted url, provider"),
        ("url = 1", "url is a int, wanted a str"),
        ("[override]\nA = 1", "override.A is a int"),
        ("url =", "Invalid value"),
        ('provider = "deepgram"', "provider 'deepgram': wanted openai or xai"),
    ],
)
def test_a_file_that_says_nothing_usable(tmp_path, text, says):
    (tmp_path / "app.py").touch()
    (tmp_path / "dial.toml").write_text(text)
    with pytest.raises(UsageError, match=says):
        declared(f"{tmp_path}/app.py")


@pytest.mark.parametrize(
    ("command", "overrides", "says"), [("x 'y", (), "No closing quotation"), ("x", ("A",), "NAME=V")]
)
def test_words_that_declare_nothing(command, overrides, says):
    with pytest.raises(UsageError, match=says):
        declared(command, overrides)


def test_an_override_is_found_by_what_it_is_for():
    given = Declared(override={"P": "grok", "M": "v1/{model}", "F": "streamSid"})
    assert setting_for(Mend("provider", "xai"), given) == ("P", "grok")
    assert setting_for(Mend("model", "grok-voice-latest"), given) == ("M", "v1/grok-voice-latest")
    assert setting_for(Mend("field", "streamSid"), given) == ("F", "streamSid")
    assert setting_for(Mend("provider", "openai"), given) is None


def test_only_what_can_be_said_in_a_word_is_mended():
    misspelt = good().violation("streamSid", got="'stream_sid'").report().roots[0]
    assert mend_of(misspelt, "xai") == Mend("field", "streamSid")
    other = good().violation("media.payload", got="'x'").report().roots[0]
    assert mend_of(other, "xai") is None


@pytest.mark.parametrize(("name", "sees"), [("silent", ["carrier"]), ("meant", ["carrier", "provider"])])
def test_a_server_that_dials_nobody_is_not_blamed_for_it_unless_it_was_meant_to(dialled, name, sees):
    code, told, _ = dialled[name]
    assert code == 3 and "media/heard-at-the-phone" in rules(told)
    assert json.loads(Path(told["call"]["record"]).read_text().splitlines()[0])["sees"] == sees
