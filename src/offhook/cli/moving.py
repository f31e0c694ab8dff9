"""
``offhook import gptme-voice``: its settings made into an offhook.toml, and what became of each.

Nothing secret is printed or written: secrets keep their names, and stay where they are or go into ``.env``.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from offhook.settings import ALIASES, FILE, Value
from offhook.settings.gptme_voice import gptme_voice

__all__ = ["Given", "MovingError", "moved", "run"]

_SECRETS = ("OPENAI_API_KEY", "XAI_API_KEY", "TWILIO_AUTH_TOKEN", "GPTME_VOICE_GPTME_SERVER_KEY")
_NOT_OURS = {
    "GPTME_VOICE_HANDOFF_DIR": "its handoff wrote a signed file and moved no call; here: agent hand-over and transfer",
    "GPTME_VOICE_HANDOFF_SECRET": "belongs to that handoff",
    "GPTME_VOICE_HANDOFF_AGENTS": "belongs to that handoff; here an agent is an [agents.NAME]",
    "GPTME_VOICE_AGENTS": "a roster; here each is an [agents.NAME]",
    "GPTME_VOICE_OPENAI_G711_PASSTHROUGH": "always so here: audio is not decoded where both sides speak PCMU",
    "GPTME_VOICE_LATENCY_SINK": "every record has its latencies (offhook show)",
    "GPTME_VOICE_SUBAGENT_TRANSCRIPT_TAIL_TURNS": "a delegate gets the last 8 turns",
    "GPTME_VOICE_SUBAGENT_TRANSCRIPT_TAIL_CHARS": "a delegate gets at most 1600 characters of them",
}
_NOT_OURS_BEGIN = {"GPTME_VOICE_RAG": "searching a workspace: declare a tool", "GPTME_VOICE_BODY": "no such thing here"}


class MovingError(Exception):
    """Nothing was written; says why."""


class Given(Struct, frozen=True, kw_only=True):
    """The flags that its server was started with."""

    provider: str = ""
    model: str = ""
    voice: str = ""
    workspace: str = ""
    host: str = ""
    port: int = 0
    other: tuple[str, ...] = ()  # flags that have no counterpart


class Moved(Struct, frozen=True):
    """A settings file, and what is to be said."""

    toml: str
    maps: tuple[tuple[str, str], ...]  # theirs, ours
    lost: tuple[tuple[str, str], ...]  # theirs, why
    unsafe: tuple[str, ...]
    secrets: tuple[tuple[str, str], ...]  # name, where it is


class _Draft:
    def __init__(self, found: Mapping[str, Value]) -> None:
        self.found = found
        self.sections: dict[str, list[tuple[str, Any]]] = {}
        self.maps: list[tuple[str, str]] = []
        self.lost: list[tuple[str, str]] = []
        self.unsafe: list[str] = []

    def get(self, *names: str) -> str:
        return next((str(self.found[name].value) for name in names if name in self.found), "")

    def set(self, section: str, key: str, value: Any, of: str = "") -> None:
        self.sections.setdefault(section, []).append((key, value))
        if of:
            self.maps.append((of, f"{section}.{key}" if key else section))

    def number(self, name: str, most: float) -> float | None:
        """A figure of theirs; one that is none is said and left out."""
        text = self.get(name)
        try:
            value = float(text) if text else None
        except ValueError:
            self.lost.append((name, "no number"))
            return None
        if value is not None and not 0 <= value <= most:
            self.lost.append((name, f"over {most:g}, which is the most here"))
            return most
        return value


def moved(found: Mapping[str, Value], given: Given) -> Moved:
    """Their settings as ours. Pure."""
    draft = _Draft(found)
    _provider(draft, given)
    _agent(draft, given)
    _server(draft, given)
    numbers = _after(draft)
    _subagent(draft, given)
    if numbers:
        draft.set("store", "numbers", True)
    _rest(draft, given)
    secrets = [(name, found[name].origin) for name in _SECRETS if name in found]
    return Moved(_toml(draft), tuple(draft.maps), tuple(draft.lost), tuple(draft.unsafe), tuple(secrets))


def _provider(draft: _Draft, given: Given) -> None:
    name = ALIASES.get(given.provider, given.provider) or "openai"
    draft.set("provider", "name", name, "--provider" if given.provider else "its default provider")
    for key, value in (("model", given.model), ("voice", given.voice)):
        if value:
            draft.set("provider", key, value, f"--{key}")
    wanted = {"openai": "OPENAI_API_KEY", "xai": "XAI_API_KEY"}.get(name, "")
    if wanted and wanted not in draft.found:
        draft.unsafe.append(f"{wanted} is nowhere: it would have answered, and failed at the first call")


def _agent(draft: _Draft, given: Given) -> None:
    spoken = draft.get("GPTME_VOICE_AGENT_NAME", "AGENT_NAME") or "bob"
    of = next((name for name in ("GPTME_VOICE_AGENT_NAME", "AGENT_NAME") if name in draft.found), "its default name")
    words = "You answer the phone: speak briefly and plainly, and say so when you do not know something."
    name = spoken[:1].upper() + spoken[1:]
    draft.set("agent", "instructions", f"You are {name}. {words}", of)
    draft.set("agent", "greeting", f"Hello, this is {name}. Who am I speaking with?", "its greeting")
    if given.workspace:
        draft.set("agent", "workspace", given.workspace, "--workspace")
    window = draft.number("GPTME_VOICE_RESUME_WINDOW_SECONDS", 86_400)
    draft.set("agent", "resume_s", 300.0 if window is None else window, "GPTME_VOICE_RESUME_WINDOW_SECONDS")
    allowed = [number.strip() for number in draft.get("TWILIO_CALLER_ALLOWLIST").split(",") if number.strip()]
    if allowed:
        draft.set("agent", "allow", allowed, "TWILIO_CALLER_ALLOWLIST")
        draft.unsafe.append(
            "TWILIO_CALLER_ALLOWLIST believed whatever number a caller showed; agent.allow lets in only whom the "
            "carrier vouches for (STIR/SHAKEN; hardly anybody outside the United States): see docs/agents.md"
        )
    draft.unsafe.append(
        "a resumed call was told to whoever showed the number; here only to a caller who is vouched for"
    )


def _server(draft: _Draft, given: Given) -> None:
    base = draft.get("GPTME_VOICE_PUBLIC_BASE_URL", "TWILIO_PUBLIC_BASE_URL")
    of = "GPTME_VOICE_PUBLIC_BASE_URL" if "GPTME_VOICE_PUBLIC_BASE_URL" in draft.found else "TWILIO_PUBLIC_BASE_URL"
    if base:
        draft.set("server", "public_url", base if "://" in base else f"https://{base}", of)
    else:
        draft.set("server", "public_url", "https://YOUR-TUNNEL.example")
        draft.lost.append(("the Host header as public address", "anybody may choose it: set server.public_url"))
    draft.set("server", "port", given.port or 8080, "--port")
    if given.host:
        draft.set("server", "host", given.host, "--host")
    if given.host in ("", "0.0.0.0", "::"):
        draft.unsafe.append("it listened on every network by default; here on 127.0.0.1, behind your proxy or tunnel")
    draft.set("carrier", "paths", "gptme-voice", "/incoming and /twilio")
    if draft.get("TWILIO_PHONE_NUMBER"):
        draft.set("outbound", "from", draft.get("TWILIO_PHONE_NUMBER"), "TWILIO_PHONE_NUMBER")
    if "TWILIO_AUTH_TOKEN" not in draft.found:
        draft.unsafe.append(
            "TWILIO_AUTH_TOKEN is not set: anybody could post to /incoming; here nothing starts without it"
        )
    draft.unsafe.append("/twilio, /local and /voice took anybody; here a stream shows a signed token, once")


def _after(draft: _Draft) -> bool:
    """Whether what comes after a call wants numbers in full, as it had them there."""
    post = draft.get("GPTME_VOICE_POST_CALL_COMMAND")
    state = draft.get("GPTME_VOICE_STATE_DIR")
    if post:
        draft.set("hooks.post-call", "command", _words(post), "GPTME_VOICE_POST_CALL_COMMAND")
        draft.set("hooks.post-call", "gptme", True)
        draft.set("hooks.post-call", "numbers", True)
        draft.set("hooks.post-call", "deadline_s", 30.0)
        if state:
            draft.set("hooks.post-call", "archive_dir", f"{state.rstrip('/')}/archive", "GPTME_VOICE_STATE_DIR")
        delay = draft.number("GPTME_VOICE_POST_CALL_DELAY_SECONDS", 86_400)
        window = draft.number("GPTME_VOICE_RESUME_WINDOW_SECONDS", 86_400)
        delay = (300.0 if window is None else window) if delay is None else delay
        if delay:
            draft.set("hooks.post-call", "env", {"GPTME_VOICE_POST_CALL_DELAY_SECONDS": f"{delay:.0f}"},
                      "GPTME_VOICE_POST_CALL_DELAY_SECONDS")  # fmt: skip
    if not state:
        draft.unsafe.append(
            "transcripts lay in the system's temp folder, readable by every user; here beside the records"
        )
    server = draft.get("GPTME_VOICE_GPTME_SERVER_URL")
    if server:
        draft.set("hooks.conversation", "gptme_server", server, "GPTME_VOICE_GPTME_SERVER_URL")
        draft.set("hooks.conversation", "numbers", True)
        if "GPTME_VOICE_GPTME_SERVER_KEY" in draft.found:
            draft.set(
                "hooks.conversation", "secret", "env:GPTME_VOICE_GPTME_SERVER_KEY", "GPTME_VOICE_GPTME_SERVER_KEY"
            )
        host = server.partition("://")[2].partition("/")[0].rpartition("@")[2].partition(":")[0]
        if server.startswith("http://") or host in ("localhost", "127.0.0.1"):
            draft.set("hooks.conversation", "allow", [host])
    return bool(post or server)


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError as error:
        raise MovingError(f"GPTME_VOICE_POST_CALL_COMMAND: got no command line ({error}); close the quotes") from None


def _subagent(draft: _Draft, given: Given) -> None:
    program = draft.get("GPTME_VOICE_SUBAGENT_PATH") or "gptme"
    model = draft.get("GPTME_VOICE_SUBAGENT_MODEL_SMART", "GPTME_VOICE_SUBAGENT_MODEL")
    fast = draft.get("GPTME_VOICE_SUBAGENT_MODEL_FAST")
    runs = [("subagent", model, draft.number("GPTME_VOICE_SUBAGENT_TIMEOUT_SMART_SECONDS", 3600) or 120.0)]
    if fast:
        runs.append(("subagent_fast", fast, draft.number("GPTME_VOICE_SUBAGENT_TIMEOUT_FAST_SECONDS", 3600) or 60.0))
    for name, chosen, deadline_s in runs:
        section = f"tools.{name}"
        if program == "gptme":
            draft.set(section, "gptme", True, name)
            if chosen:
                draft.set(section, "model", chosen)
        else:
            extra = ["--model", chosen] if chosen else []
            draft.set(section, "command", [program, "--non-interactive", "--context", "files", *extra, "{prompt}"],
                      "GPTME_VOICE_SUBAGENT_PATH")  # fmt: skip
        draft.set(section, "deadline_s", deadline_s)
        if given.workspace:
            draft.set(section, "cwd", given.workspace)
    used = ("GPTME_VOICE_SUBAGENT_MODEL_SMART", "GPTME_VOICE_SUBAGENT_MODEL", "GPTME_VOICE_SUBAGENT_MODEL_FAST")
    draft.maps += [(name, "tools.subagent") for name in used if name in draft.found]
    draft.unsafe.append("the subagent runs shell commands for every caller: take it from who answers strangers, by "
                        'agent.tools = ["none"]')  # fmt: skip


def _rest(draft: _Draft, given: Given) -> None:
    known = {theirs for theirs, _ in (*draft.maps, *draft.lost)} | set(_SECRETS)
    known |= {"TWILIO_ACCOUNT_SID", "AGENT_NAME", "GPTME_VOICE_STATE_DIR", "TWILIO_PUBLIC_BASE_URL"}
    known |= {name for name in draft.found if name.startswith("GPTME_VOICE_SUBAGENT_TIMEOUT_")}
    for name in sorted(draft.found):
        if name in _NOT_OURS:
            draft.lost.append((name, _NOT_OURS[name]))
        elif name not in known:
            why = next(
                (why for head, why in _NOT_OURS_BEGIN.items() if name.startswith(head)), "unknown to this version"
            )
            draft.lost.append((name, why))
    if draft.get("GPTME_VOICE_HANDOFF_DIR") and not draft.get("GPTME_VOICE_HANDOFF_SECRET"):
        draft.unsafe.append("handoffs were signed with a secret that stands in its source")
    draft.lost += [(flag, "no counterpart") for flag in given.other]


def _toml(draft: _Draft) -> str:
    lines = ["# Made by `offhook import gptme-voice`; every setting: docs/settings.md"]
    for section, keys in draft.sections.items():
        lines += ["", f"[{section}]", *(f"{key} = {_value(value)}" for key, value in keys)]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    """A value as TOML writes it: JSON's texts are TOML's."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_value(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def run(given: Given, *, dotenv: Path, force: bool, as_json: bool) -> int:
    """Write ./offhook.toml, and say what became of each setting. Raises MovingError, SettingsError."""
    path = Path.cwd() / FILE
    workspace = Path(given.workspace).expanduser() if given.workspace else None
    made = moved(gptme_voice(dotenv, workspace), given)
    if path.exists() and not force:
        raise MovingError(f"{path} exists; --force overwrites it")
    path.write_text(made.toml, encoding="utf-8")
    if as_json:
        said = {
            "wrote": str(path),
            "maps": made.maps,
            "lost": made.lost,
            "unsafe": made.unsafe,
            "secrets": made.secrets,
        }
        sys.stdout.write(json.dumps(said, indent=1) + "\n")
        return 0
    lines = [f"wrote {path}", "", "what maps", *_columns(made.maps), "", "what does not", *_columns(made.lost)]
    lines += ["", "what was unsafe there", *(f"  {text}" for text in made.unsafe), "", "secrets, by the same names"]
    lines += [
        f"  {name:<34} {where}" + ("" if where.startswith(".env") else ": put it into .env beside offhook.toml")
        for name, where in made.secrets
    ]
    lines += ["", "next: offhook check settings, then start `offhook serve` where gptme-voice-server was started"]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def _columns(rows: Iterable[tuple[str, str]]) -> list[str]:
    return [f"  {theirs:<44} {ours}" for theirs, ours in rows] or ["  (nothing)"]
