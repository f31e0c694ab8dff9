"""Moving over from gptme-voice: each setting maps or is said not to, nothing secret is shown, its paths are served."""

import tomllib

import pytest
from typer.testing import CliRunner

from offhook.checks.agents import ready_agents
from offhook.checks.settings import carrier_settings, problems
from offhook.cli import app
from offhook.cli.banner import banner
from offhook.cli.moving import Given, MovingError, moved
from offhook.net.app import Paths
from offhook.settings import Value, load
from offhook.settings.gptme_voice import gptme_voice

SECRETS = {
    "XAI_API_KEY": "xai-0123456789", "TWILIO_AUTH_TOKEN": "0123456789abcdef0123456789abcdef",
    "GPTME_VOICE_GPTME_SERVER_KEY": "the-servers-key",
}  # fmt: skip
ENV = {
    **SECRETS, "TWILIO_ACCOUNT_SID": "AC0123456789abcdef0123456789abcdef",
    "TWILIO_CALLER_ALLOWLIST": "+15550100001, +15550100002", "GPTME_VOICE_PUBLIC_BASE_URL": "voice.example.com",
    "GPTME_VOICE_AGENT_NAME": "alice", "GPTME_VOICE_RESUME_WINDOW_SECONDS": "120",
    "GPTME_VOICE_POST_CALL_COMMAND": "sh 'after call.sh'", "GPTME_VOICE_STATE_DIR": "state",
    "GPTME_VOICE_GPTME_SERVER_URL": "http://127.0.0.1:5700", "GPTME_VOICE_SUBAGENT_MODEL_FAST": "quick/one",
    "GPTME_VOICE_SUBAGENT_TIMEOUT_SMART_SECONDS": "90", "GPTME_VOICE_RAG": "1", "GPTME_VOICE_NEW": "x",
    "GPTME_VOICE_HANDOFF_DIR": "/h",
}  # fmt: skip


def given(**more: str) -> dict[str, Value]:
    return {name: Value(value, ".env:1") for name, value in {**ENV, **more}.items()}


def test_what_it_was_set_to_becomes_a_file_that_serves(tmp_path, monkeypatch):
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in ENV.items()))
    (tmp_path / "ws").mkdir()
    (tmp_path / "ws" / "ABOUT.md").write_text("# Alice\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    for name in ENV:
        monkeypatch.delenv(name, raising=False)
    ran = CliRunner().invoke(app, ["import", "gptme-voice", "--provider", "grok", "--workspace", "ws"])
    assert ran.exit_code == 0, ran.output
    written = (tmp_path / "offhook.toml").read_text()
    assert not [secret for secret in SECRETS.values() if secret in written or secret in ran.output]
    settings = load({}, environment={}, cwd=tmp_path)
    assert problems(settings) == []
    assert settings["provider.name"] == "xai" and settings["agent.resume_s"] == 120
    assert settings["agent.allow"] == ("+15550100001", "+15550100002")
    hook, conversation = settings.sections("hooks")
    assert hook["command"] == ("sh", "after call.sh") and hook["archive_dir"] == "state/archive"
    assert hook["env"] == {"GPTME_VOICE_POST_CALL_DELAY_SECONDS": "120"} and conversation["numbers"]
    assert settings["agent.greeting"].startswith("Hello, this is ")  # whoever calls is greeted, as there
    tools = {section.name: section["deadline_s"] for section in settings.sections("tools")}
    assert tools == {"subagent": 90, "subagent_fast": 60}
    carrier = carrier_settings(settings, settings["server.public_url"])
    assert carrier.webhook_path == "/incoming" and carrier.stream_url == "wss://voice.example.com/twilio"
    roster, _ = ready_agents(settings)
    sessions = {name: ready.session for name, ready in roster.ready.items()}
    shown = "\n".join(banner(settings, roster, sessions, settings["server.public_url"], 8080))
    assert "https://voice.example.com/incoming" in shown
    again = CliRunner().invoke(app, ["import", "gptme-voice"])
    assert again.exit_code == 1 and isinstance(again.exception, MovingError)  # nothing is overwritten


def test_every_setting_is_accounted_for_and_what_was_unsafe_is_said():
    made = moved(given(), Given(provider="grok", other=("--reasoning-effort",)))
    named = {theirs for theirs, _ in (*made.maps, *made.lost)} | {name for name, _ in made.secrets}
    apart = {"TWILIO_ACCOUNT_SID", "GPTME_VOICE_SUBAGENT_TIMEOUT_SMART_SECONDS"}  # the same name; a deadline
    assert set(ENV) - named == apart
    lost = dict(made.lost)
    assert lost["GPTME_VOICE_NEW"] == "unknown to this version" and "--reasoning-effort" in lost
    unsafe = "\n".join(made.unsafe)
    assert (
        "whatever number a caller showed" in unsafe and "every network" in unsafe and "stands in its source" in unsafe
    )


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"GPTME_VOICE_RESUME_WINDOW_SECONDS": "soon"}, "no number"),
        ({"GPTME_VOICE_RESUME_WINDOW_SECONDS": "1e9"}, "over 86400"),
    ],
)
def test_a_figure_that_is_none_is_said_and_not_passed_on(more, says):
    made = moved(given(**more), Given())
    assert any(says in why for _, why in made.lost)
    assert tomllib.loads(made.toml)["agent"]["resume_s"] in (300.0, 86_400.0)


def test_without_anything_it_says_what_was_missing():
    made = moved({}, Given())
    data = tomllib.loads(made.toml)
    assert data["provider"]["name"] == "openai" and "hooks" not in data and "store" not in data
    assert "outbound" not in data
    own = tomllib.loads(moved(given(TWILIO_PHONE_NUMBER="+15550100002"), Given()).toml)
    assert own["outbound"] == {"from": "+15550100002"}
    unsafe = "\n".join(made.unsafe)
    assert "OPENAI_API_KEY is nowhere" in unsafe and "anybody could post" in unsafe


def test_a_program_of_its_own_is_a_command(tmp_path):
    made = moved(given(GPTME_VOICE_SUBAGENT_PATH="/opt/voice-subagent.sh"), Given(workspace='a"b\\c'))
    (tmp_path / "offhook.toml").write_text(made.toml)
    (tmp_path / 'a"b\\c').mkdir()
    settings = load({}, environment=ENV, cwd=tmp_path)
    command = settings.sections("tools")[0]["command"]
    assert command[0] == "/opt/voice-subagent.sh" and command[-1] == "{prompt}"
    assert settings["agent.workspace"] == 'a"b\\c'
    assert not [problem for problem in problems(settings) if problem.setting.startswith("tools")]


def test_it_is_read_where_gptme_reads_it_and_the_environment_comes_first(tmp_path):
    (tmp_path / ".config" / "gptme").mkdir(parents=True)
    (tmp_path / ".config" / "gptme" / "config.toml").write_text('[env]\nAGENT_NAME = "file"\nXAI_API_KEY = "k"\n')
    (tmp_path / "gptme.toml").write_text('[env]\nAGENT_NAME = "workspace"\n')
    (tmp_path / ".env").write_text("GPTME_VOICE_STATE_DIR=s\nUNRELATED=1\n")
    found = gptme_voice(tmp_path / ".env", tmp_path, environment={"XAI_API_KEY": "env"}, home=tmp_path)
    assert {name: value.value for name, value in found.items()} == {
        "AGENT_NAME": "workspace", "XAI_API_KEY": "env", "GPTME_VOICE_STATE_DIR": "s"
    }  # fmt: skip
    assert found["XAI_API_KEY"].origin == "environment XAI_API_KEY"


def test_a_number_that_points_at_our_own_path_is_answered_beside_theirs():
    assert set(Paths("/incoming", "/twilio", "/s", "/a").webhooks) == {"/incoming", "/twilio/voice"}
    assert Paths("/twilio/voice", "/m", "/s", "/a").webhooks == ("/twilio/voice",)


def test_a_call_over_their_paths(tmp_path):
    """Signed webhook at /incoming, stream at /twilio: our own host, in virtual time."""
    from offhook.sims.run_world import TOKEN, OurServer
    from offhook.sims.virtual import Link, World
    from offhook.sims.virtual_carrier import Line
    from offhook.sims.virtual_provider import Net, ProviderHost

    with World(1) as world:
        provider = ProviderHost("openai")
        server = OurServer(world, Net(world, {"api.openai.com": provider}), "openai", carrier={
            "webhook_path": "/incoming", "media_path": "/twilio",
        })  # fmt: skip
        line = Line(world, server, auth_token=TOKEN, link=Link(0.03), url="https://voice.example.com/incoming")
        server.lines[line.call_sid] = line
        line.begin()
        world.run(3.0)
        assert line.verbs[0].name == "Connect" and provider.sessions
