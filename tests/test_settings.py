"""Settings, their origins, and what refuses to start."""

import json
import os
import resource
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from offhook.checks.agents import endings, ready_agents
from offhook.checks.settings import carrier_settings, problems
from offhook.cli.places import data_dir
from offhook.settings import SettingsError, load

ROOT = Path(__file__).parent.parent
GOOD = {
    "OFFHOOK_PROVIDER_NAME": "openai", "OPENAI_API_KEY": "sk-abcdef", "TWILIO_AUTH_TOKEN": "t0ken-t0ken",
    "OFFHOOK_SERVER_PUBLIC_URL": "https://voice.example.com",
}  # fmt: skip


def given(tmp_path, toml: str = "", env: dict | None = None, dotenv: str = "", **flags):
    if toml:
        (tmp_path / "offhook.toml").write_text(toml)
    if dotenv:
        (tmp_path / ".env").write_text(dotenv)
    return load({name.replace("__", "."): value for name, value in flags.items()}, environment=env or {}, cwd=tmp_path)


def test_flag_beats_environment_beats_dotenv_beats_file_beats_default(tmp_path):
    toml, dotenv = "[server]\nport = 1\n[limits]\nmax_calls = 1\n", "OFFHOOK_SERVER_PORT=2\n"
    settings = given(tmp_path, toml, {"OFFHOOK_SERVER_PORT": "3"}, dotenv, server__port=4)
    assert (settings["server.port"], settings.origin("server.port")) == (4, "flag --port")
    settings = given(tmp_path, env={"OFFHOOK_SERVER_PORT": "3"})
    assert (settings["server.port"], settings.origin("server.port")) == (3, "environment OFFHOOK_SERVER_PORT")
    settings = given(tmp_path)
    assert (settings["server.port"], settings.origin("server.port")) == (2, ".env:1")
    assert (settings["limits.max_calls"], settings.origin("limits.max_calls")) == (1, "offhook.toml:4")
    assert settings.origin("server.host") == "default"
    assert "OFFHOOK_SERVER_PORT" not in os.environ  # .env stays a file


@pytest.mark.parametrize(
    ("toml", "wanted"),
    [
        ("[provider]\nnme = 'x'\n", "provider.nme: no such setting (offhook.toml:2); did you mean provider.name?"),
        ("[provider]\nname = 'xai'\n\n[provider.deep.er]\nx = 1\n", "provider.deep: no such setting (offhook.toml:4)"),
        ("[server]\nport = 1\n\n[foo.bar]\nx = 1\n", "foo.bar: no such setting (offhook.toml:4)"),
        ("[server]\nport = 'x'\n", "server.port: got 'x' (offhook.toml:2), wanted a whole number"),
        ("[server]\nport = -1\n", "wanted at least 0"),
        ("[server]\nport = 70000\n", "wanted at most 65535"),
        ("[server]\ndrain_s = nan\n", "server.drain_s: got nan (offhook.toml:2), wanted a number"),
        ("[limits]\nidle_s = inf\n", "wanted a number"),
        ("[limits]\nmax_calls = inf\n", "wanted a whole number"),
        ("[agent]\nhang_up = 3\n", "wanted true or false"),
        ("[carrier]\nauth = 'maybe'\n", "wanted signature or none"),
        ("port = 3\n", "outside a section"),
        ("[server\n", "not TOML"),
        ("[server]\nport = " + "9" * 5000 + "\n", "not TOML"),
        ("[server]\nport = " + "[" * 5000 + "\n", "not TOML"),
    ],
)
def test_a_mistake_names_setting_got_wanted_and_line(tmp_path, toml, wanted):
    with pytest.raises(SettingsError) as info:
        given(tmp_path, toml)
    assert wanted in str(info.value)


def test_all_mistakes_are_told_at_once_and_strange_variables_too(tmp_path):
    with pytest.raises(SettingsError) as info:
        given(tmp_path, "[server]\nport = 'x'\nprt = 1\n", {"OFFHOOK_SERVER_PROT": "1"})
    assert len(info.value.problems) == 3 and "OFFHOOK_SERVER_PORT?" in str(info.value)


def test_secrets_never_show(tmp_path):
    settings = given(tmp_path, env={"OPENAI_API_KEY": "sk-planted-secret"})
    shown = repr(settings) + str(settings.table()) + repr(settings["provider.openai_key"])
    assert "planted" not in shown and "17 characters" in shown


def test_the_alias_grok_means_xai(tmp_path):
    assert given(tmp_path, env={"OFFHOOK_PROVIDER_NAME": "grok"})["provider.name"] == "xai"


def test_good_settings_have_no_problem(tmp_path):
    assert problems(given(tmp_path, env=GOOD)) == []


@pytest.mark.parametrize(
    ("change", "setting", "part"),
    [
        ({"OFFHOOK_PROVIDER_NAME": ""}, "provider.name", 'write name = "openai"'),
        ({"OFFHOOK_PROVIDER_NAME": "", "XAI_API_KEY": "xai-1"}, "provider.name", "openai and xai"),
        ({"OFFHOOK_PROVIDER_NAME": "", "OPENAI_API_KEY": ""}, "provider.name", "offhook demo"),
        ({"OFFHOOK_PROVIDER_NAME": "skynet"}, "provider.name", "choose one"),
        ({"OPENAI_API_KEY": ""}, "provider.openai_key", "set OPENAI_API_KEY"),
        ({"OPENAI_API_KEY": "sk-1\n"}, "provider.openai_key", "remove the blank"),
        ({"OPENAI_API_KEY": "None"}, "provider.openai_key", "set the key itself"),
        ({"OPENAI_API_KEY": "xai-1"}, "provider.openai_key", "another provider"),
        ({"OFFHOOK_PROVIDER_MODEL": "gpt-4o-realtime-preview"}, "provider.model", "gpt-realtime"),
        ({"OFFHOOK_PROVIDER_VOICE": "ara"}, "provider.voice", "OpenAI"),
        ({"OFFHOOK_PROVIDER_URL": "ws://api.openai.com/v1/realtime"}, "provider.url", "wss://"),
        ({"OFFHOOK_SERVER_PUBLIC_URL": ""}, "server.public_url", "tunnel"),
        ({"OFFHOOK_SERVER_PUBLIC_URL": "http://voice.example.com"}, "server.public_url", "https"),
        ({"OFFHOOK_SERVER_PUBLIC_URL": "https://192.168.1.5"}, "server.public_url", "tunnel"),
        ({"OFFHOOK_SERVER_PUBLIC_URL": "https://box.local"}, "server.public_url", "tunnel"),
        ({"OFFHOOK_SERVER_PUBLIC_URL": "https://a.example/?x=1"}, "server.public_url", "remove"),
        ({"TWILIO_AUTH_TOKEN": ""}, "carrier.auth_token", "TWILIO_AUTH_TOKEN"),
        ({"OFFHOOK_CARRIER_AUTH": "none", "OFFHOOK_SERVER_HOST": "0.0.0.0"}, "carrier.auth", "127.0.0.1"),
        ({"TWILIO_ACCOUNT_SID": "SK123"}, "carrier.account_sid", "TWILIO_API_KEY"),
        ({"OFFHOOK_CARRIER_REST_URL": "http://api.example.com/2010-04-01"}, "carrier.rest_url", "leave it out"),
        ({"OFFHOOK_CARRIER_REST_URL": "https://u:p@api.example.com/"}, "carrier.rest_url", "leave it out"),
        ({"OFFHOOK_CARRIER_REST_URL": "https://[::1"}, "carrier.rest_url", "leave it out"),
        ({"OFFHOOK_CARRIER_REST_URL": "api.example.com"}, "carrier.rest_url", "leave it out"),
        ({"OFFHOOK_AGENT_INSTRUCTIONS_FILE": "nowhere.txt"}, "agent.instructions_file", "correct the path"),
        ({"OFFHOOK_AGENT_GREETING": "Hi {{caler}}"}, "agent.greeting", "placeholder"),
        ({"OFFHOOK_RECORD_LINES_DIR": "nowhere"}, "record.lines_dir", "leave the setting out"),
        ({"OFFHOOK_PROVIDER_NAME": "OpenAI"}, "provider.name", 'write name = "openai"'),
        ({"OFFHOOK_SERVER_PUBLIC_URL": "https://YOUR-TUNNEL.example"}, "server.public_url", "your tunnel's address"),
        ({"OFFHOOK_CARRIER_AUTH": "none"}, "server.public_url", 'auth = "signature"'),
        ({"TWILIO_API_KEY": "SK0"}, "carrier.api_secret", "carrier.api_secret too"),
        ({"OFFHOOK_CARRIER_SHARED_KEY": "k"}, "carrier.shared_key_id", "carrier.shared_key_id too"),
        ({"OFFHOOK_SERVER_PUBLIC_URL": "https://[::1"}, "server.public_url", "correct the address"),
        ({"OFFHOOK_SERVER_PUBLIC_URL": "https://voice.example.com:x"}, "server.public_url", "correct the address"),
        ({"OFFHOOK_SERVER_PUBLIC_URL": "https://a b.example.com"}, "server.public_url", "correct the address"),
        ({"OFFHOOK_PROVIDER_URL": "wss://[::1"}, "provider.url", "wss://"),
        ({"OFFHOOK_RECORD_DIR": "/dev/null/calls"}, "record.dir", "name another one"),
    ],
)  # fmt: skip
def test_what_cannot_work_refuses_to_start_with_its_fix(tmp_path, change, setting, part):
    (problem,) = problems(given(tmp_path, env={**GOOD, **change}))
    assert problem.setting == setting and part in problem.fix


@pytest.mark.parametrize("url", ["https://api.dublin.ie1.twilio.com/2010-04-01", "http://127.0.0.1:9090/2010-04-01/"])
def test_the_rest_interface_may_be_another_region_s_or_a_stand_in_here(tmp_path, url):
    settings = given(tmp_path, env={**GOOD, "OFFHOOK_CARRIER_REST_URL": url})
    assert problems(settings) == []
    assert carrier_settings(settings, "https://voice.example.com").rest_base == url.rstrip("/")


def offhook(*args: str, cwd: Path, env: dict | None = None) -> subprocess.CompletedProcess:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OFFHOOK_", "TWILIO_"))}
    clean = {**clean, "PYTHONPATH": str(ROOT / "src"), "NO_COLOR": "1", **(env or {})}
    return subprocess.run(
        [sys.executable, "-m", "offhook", *args], capture_output=True, text=True, cwd=cwd, env=clean, timeout=80
    )


def test_the_seeds_first_fault_serve_without_a_provider_refuses_to_start(tmp_path):
    ran = offhook("serve", cwd=tmp_path, env={"XAI_API_KEY": "xai-123456"})
    assert ran.returncode == 2 and 'write name = "xai"' in ran.stderr and "Traceback" not in ran.stderr
    assert "xai-123456" not in ran.stderr


def test_init_writes_ten_lines_once_and_check_settings_reads_them(tmp_path):
    ran = offhook("init", "--provider", "grok", "--public-url", "https://voice.example.com", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert len((tmp_path / "offhook.toml").read_text().splitlines()) == 10
    assert offhook("init", "--provider", "xai", cwd=tmp_path).returncode == 2
    (tmp_path / ".env").write_text("XAI_API_KEY=xai-abc\nTWILIO_AUTH_TOKEN=t0ken-t0ken\n")
    ran = offhook("check", "settings", cwd=tmp_path)
    assert ran.returncode == 0 and "xai" in ran.stdout, ran.stdout
    ran = offhook("config", "--json", cwd=tmp_path)
    data = json.loads(ran.stdout)
    assert data["provider.name"] == {"value": "xai", "origin": "offhook.toml:2"}
    assert "xai-abc" not in ran.stdout and data["provider.xai_key"]["origin"] == ".env:1"


def test_the_unit_runs_the_preflight_reads_an_environment_file_and_drains(tmp_path):
    unit = offhook("service", "systemd", cwd=tmp_path).stdout
    assert "ExecStartPre=" in unit and "check settings" in unit and "EnvironmentFile=" in unit
    program = Path(sys.executable).with_name("offhook")
    assert f"ExecStart={program} serve\n" in unit  # this installation, not what its interpreter is linked to
    assert "KillSignal=SIGTERM" in unit and "TimeoutStopSec=55" in unit and "Type=notify" in unit


def test_the_unit_quotes_what_systemd_would_read_otherwise(tmp_path):
    folder = tmp_path / "50% of it"
    folder.mkdir()
    (folder / "offhook.toml").write_text("[server]\nport = 443\n")
    unit = offhook("service", "systemd", cwd=folder).stdout
    assert f'serve --config "{tmp_path}/50%% of it/offhook.toml"' in unit
    assert f"WorkingDirectory={tmp_path}/50%% of it\n" in unit and "AmbientCapabilities=CAP_NET_BIND_SERVICE" in unit


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed here")
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path):
    file = tmp_path / "offhook.service"
    file.write_text(offhook("service", "systemd", cwd=tmp_path).stdout)
    ran = subprocess.run(["systemd-analyze", "verify", str(file)], capture_output=True, text=True, timeout=80)
    assert ran.returncode == 0 and "offhook" not in ran.stderr, ran.stderr


@pytest.mark.parametrize("args", [["show", "nothing"], ["trace", "nothing"]])
def test_errors_are_messages_not_tracebacks(tmp_path, args):
    ran = offhook(*args, cwd=tmp_path, env={"OFFHOOK_RECORD_DIR": str(tmp_path)})
    assert ran.returncode == 2 and ran.stderr.startswith("offhook: no records") and "Traceback" not in ran.stderr


SERVED = {"OFFHOOK_PROVIDER_NAME": "openai", "OPENAI_API_KEY": "sk-abcdef", "OFFHOOK_CARRIER_AUTH": "none"}


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"OFFHOOK_SERVER_HOST": "127.77.0.1", "OFFHOOK_SERVER_PORT": "taken"}, "another program listens there"),
        ({"OFFHOOK_SERVER_HOST": "192.0.2.1"}, "no address of this machine"),
        ({"OFFHOOK_SERVER_HOST": "nowhere.invalid"}, "no address of this machine"),
    ],
)
def test_an_address_that_cannot_be_had_is_named_with_its_fix(tmp_path, env, said):
    with socket.socket() as other:
        other.bind(("127.77.0.1", 0))
        other.listen()
        if env.get("OFFHOOK_SERVER_PORT") == "taken":
            env = {**env, "OFFHOOK_SERVER_PORT": str(other.getsockname()[1])}
        signed = {"OFFHOOK_CARRIER_AUTH": "signature", "TWILIO_AUTH_TOKEN": "t0ken-t0ken",
                  "OFFHOOK_SERVER_PUBLIC_URL": "https://voice.example.com"}  # fmt: skip
        ran = offhook("serve", cwd=tmp_path, env={**SERVED, **signed, **env, "OFFHOOK_RECORD_DIR": str(tmp_path)})
    assert ran.returncode == 2 and said in ran.stderr and "server.port" in ran.stderr, ran.stderr
    assert "Traceback" not in ran.stderr and not ran.stdout


def test_serve_knows_two_ways_to_show_calls(tmp_path):
    ran = offhook("serve", "--live", "loud", cwd=tmp_path, env=SERVED)
    assert ran.returncode == 2 and "wanted text or json" in ran.stderr


def test_a_terminal_that_is_not_utf8_is_served_too(tmp_path):
    env = {**GOOD, "OFFHOOK_AGENT_GREETING": "“Grüezi” — 東京", "PYTHONUTF8": "0", "PYTHONIOENCODING": "latin-1"}
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OFFHOOK_", "TWILIO_"))}
    ran = subprocess.run(
        [sys.executable, "-m", "offhook", "config"], capture_output=True, cwd=tmp_path, timeout=80,
        env={**clean, "PYTHONPATH": str(ROOT / "src"), **env},
    )  # fmt: skip
    assert ran.returncode == 0 and b"?Gr\xfcezi? ? ??" in ran.stdout, ran.stderr


def every_command() -> list[list[str]]:
    """As the command line itself knows them."""
    import typer.main

    from offhook.cli import app

    def walk(command, path: list[str]):
        inner = getattr(command, "commands", {})
        return [path] if not inner else [leaf for name, sub in inner.items() for leaf in walk(sub, [*path, name])]

    return walk(typer.main.get_command(app), [])


@pytest.mark.parametrize("command", every_command(), ids=" ".join)
def test_every_command_has_help_with_an_example_within_150_ms(tmp_path, command):
    def cpu_s() -> float:
        """Of a child that has ended; what else the machine does meanwhile is not the command's."""
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    took = []
    for _ in range(5):
        before = cpu_s()
        ran = offhook(*command, "--help", cwd=tmp_path)
        took.append(cpu_s() - before)
        assert ran.returncode == 0 and "Example" in ran.stdout
        if took[-1] < 0.15:
            return
    # A processor that is shared takes longer for everything: for an interpreter that does nothing too (12 ms alone).
    before = cpu_s()
    for _ in range(5):
        subprocess.run([sys.executable, "-c", "pass"], check=True)
    share = (cpu_s() - before) / 5 / 0.012
    assert min(took) < 0.15 * share, f"{min(took) * 1000:.0f} ms of CPU for --help"


def test_check_provider_proves_the_loopback_provider_without_a_phone(tmp_path):
    env = {"OFFHOOK_PROVIDER_NAME": "loopback"}
    ran = offhook("check", "provider", "--live", "--json", cwd=tmp_path, env=env)
    data = json.loads(ran.stdout)
    (found,) = data["checks"]
    assert ran.returncode == 0 and found["verdict"] == "proven", ran.stdout + ran.stderr
    names = [phase["name"] for phase in found["steps"]]
    assert names == [
        "dns",
        "tcp",
        "upgrade",
        "first message",
        "session applied",
        "audio in",
        "transcript back",
        "audio out",
    ]
    transcript = next(phase["detail"] for phase in found["steps"] if phase["name"] == "transcript back")
    assert "what are your opening hours" in transcript


@pytest.mark.parametrize(
    ("fault", "phase"),
    [("refuse-401", "upgrade"), ("no-greeting", "first message"), ("ignore-formats", "session applied"),
     ("reject-session", "session applied")],
)  # fmt: skip
def test_check_provider_names_the_phase_that_breaks(tmp_path, fault, phase, monkeypatch):
    import asyncio

    from offhook.checks import provider
    from offhook.sims.run_provider import FakeProvider

    monkeypatch.setattr(provider, "STEP_S", 0.3)

    async def run():
        async with FakeProvider("openai", faults=[fault]) as fake:
            settings = given(tmp_path, env={**GOOD, "OFFHOOK_PROVIDER_URL": fake.url})
            return await provider.check(settings, live=False)

    result = asyncio.run(run())
    assert result.verdict == "broken" and result.phases[-1].name == phase


def test_live_checks_say_what_they_cost_and_name_an_answer_that_cannot_be_heard(tmp_path, monkeypatch):
    """Five calls in real time, side by side."""
    import asyncio

    from offhook.checks import provider
    from offhook.loopback.lines import audio
    from offhook.sims.provider import Answer
    from offhook.sims.run_provider import FakeProvider

    monkeypatch.setattr(provider, "ANSWER_S", 6.0)
    keys = {"OPENAI_API_KEY": "sk-test-0000000000", "XAI_API_KEY": "xai-test-0000000000"}
    cases = {
        ("openai", ""): "(prices of 2026-11-22)",
        ("xai", ""): "s, price of 2026-11-22)",
        ("openai", "near-silence"): "near silence",
        ("openai", "pcm16-as-pcmu"): "pcm16",
        ("openai", "fail-quota"): "You exceeded your current quota.",
    }

    async def check(name, fault):
        answer = Answer(audio("hours"))
        async with FakeProvider(name, faults=[fault] if fault else [], script=(answer,)) as fake:
            env = {**GOOD, **keys, "OFFHOOK_PROVIDER_NAME": name, "OFFHOOK_PROVIDER_URL": fake.url}
            return await provider.check(given(tmp_path, env=env), live=True)

    async def run():
        return dict(zip(cases, await asyncio.gather(*(check(*case) for case in cases)), strict=True))

    for case, result in asyncio.run(run()).items():
        assert cases[case] in result.sentence, (case, result)
        if case[1]:
            assert result.verdict == "broken" and result.phases[-1].name == "audio out"
        else:
            assert result.verdict == "proven" and "cost about $0.0" in result.sentence


def test_what_a_session_asks_for_and_will_end_is_named_in_time_at_the_start_and_by_check(tmp_path):
    def told(name: str, day: str) -> list[tuple[str, str, str]]:
        made = load(environment={"OFFHOOK_PROVIDER_NAME": name, "OPENAI_API_KEY": "sk-test-0123456789"}, cwd=tmp_path)
        return endings(ready_agents(made)[0].ready["default"], day)

    assert told("openai", "2026-10-01") == []
    ((what, value, near),) = told("openai", "2027-02-01")
    assert (what, value) == ("transcript", "gpt-4o-mini-transcribe")
    assert near.startswith("ends 2027-02-26, in 25 days (developers.openai.com")
    ((_, _, past),) = told("openai", "2027-02-26")
    assert past.startswith("ended 2027-02-26") and "calls go on" in past
    assert told("loopback", "2027-03-01") == []


def test_records_go_where_it_was_said_else_where_the_system_keeps_data(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert data_dir(load(environment={}, cwd=tmp_path)) == tmp_path / ".local/share/offhook/calls"
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert data_dir(load(environment={}, cwd=tmp_path)) == tmp_path / "data/offhook/calls"
    said = load(environment={"OFFHOOK_RECORD_DIR": "rec"}, cwd=tmp_path)
    assert data_dir(said) in (Path("rec"), tmp_path / "rec")
