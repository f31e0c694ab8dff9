"""
Every setting with its origin, and the only reader of the environment and of files.

Precedence: flag, environment, ``.env``, ``offhook.toml``, default. A setting says where it came from, a secret never
shows itself, and a mistake names the setting, what was got, what was wanted, where it is written and what to do.
Knows nothing of Offhook's other parts: whether a value can work is judged in ``checks/settings.py``.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

__all__ = ["SPECS", "Secret", "Settings", "SettingsError", "Spec", "Value", "load"]

FILE = "offhook.toml"


class SettingsError(Exception):
    """One or more settings that cannot be read."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(self.problems)


class Secret:
    """A value that is used but never shown."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself, for the one place that needs it."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return f"<{self.fingerprint()}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def fingerprint(self) -> str:
        """Length, four characters of a hash, and what is odd about it."""
        if not self._value:
            return "not set"
        digest = hashlib.sha256(self._value.encode()).hexdigest()[:4]
        odd = ", white space at the edge" if self._value != self._value.strip() else ""
        return f"{len(self._value)} characters, sha256 {digest}…{odd}"


@dataclass(frozen=True)
class Value:
    """A setting's value and where it came from."""

    value: Any
    origin: str


@dataclass(frozen=True)
class Spec:
    """One setting."""

    name: str  # section.key
    kind: type  # str, int, float, bool, Secret
    default: Any
    help: str
    env: str = ""  # the environment's name; OFFHOOK_SECTION_KEY when empty
    choices: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None

    @property
    def variable(self) -> str:
        return self.env or "OFFHOOK_" + self.name.replace(".", "_").upper()


SPECS: tuple[Spec, ...] = (
    Spec("provider.name", str, "", "openai, xai (or grok), or loopback; there is no default"),
    Spec("provider.model", str, "", "the model; empty: the provider's current one"),
    Spec("provider.voice", str, "", "the voice; empty: the provider's default"),
    Spec("provider.url", str, "", "another endpoint (wss://; ws:// on loopback addresses)"),
    Spec("provider.allow_unlisted", bool, False, "take a model or voice that Offhook does not know"),
    Spec("provider.openai_key", Secret, Secret(""), "OpenAI API key", env="OPENAI_API_KEY"),
    Spec("provider.xai_key", Secret, Secret(""), "xAI API key", env="XAI_API_KEY"),
    Spec("provider.dial_timeout_s", float, 10.0, "DNS, TCP, TLS and upgrade together", least=0.1),
    Spec("agent.instructions", str, "", "what the agent is told; {{caller_number}} and the like are filled in"),
    Spec("agent.instructions_file", str, "", "a file instead; relative to offhook.toml"),
    Spec("agent.greeting", str, "", "said first, word for word; empty: the caller speaks first"),
    Spec("agent.language", str, "", "the caller's language as ISO 639-1, to help recognition"),
    Spec("agent.hang_up", bool, True, "the agent may end the call"),
    Spec("carrier.name", str, "twilio", "the carrier", choices=("twilio",)),
    Spec("carrier.auth", str, "signature", "how requests are proven; none is for loopback addresses",
         choices=("signature", "none")),
    Spec("carrier.account_sid", str, "", "Twilio account (AC…)", env="TWILIO_ACCOUNT_SID"),
    Spec("carrier.auth_token", Secret, Secret(""), "Twilio Auth Token: signatures, and REST with the account",
         env="TWILIO_AUTH_TOKEN"),
    Spec("carrier.api_key", str, "", "Twilio API key (SK…), instead of the Auth Token for REST",
         env="TWILIO_API_KEY"),
    Spec("carrier.api_secret", Secret, Secret(""), "its secret", env="TWILIO_API_SECRET"),
    Spec("carrier.shared_key_id", str, "", "id of a shared key for SHA-256 signatures"),
    Spec("carrier.shared_key", Secret, Secret(""), "its secret"),
    Spec("carrier.fallback_say", str, "", "what the carrier says when the agent cannot be reached"),
    Spec("server.public_url", str, "", "https://… under which the carrier reaches this server"),
    Spec("server.host", str, "127.0.0.1", "address to listen on"),
    Spec("server.port", int, 8080, "port to listen on; 0: any free one", least=0, most=65535),
    Spec("server.drain_s", float, 30.0, "how long running calls may go on after SIGTERM", least=0),
    Spec("limits.max_calls", int, 100, "calls at once", least=1),
    Spec("limits.max_call_s", float, 3600.0, "length of a call", least=1),
    Spec("limits.idle_s", float, 300.0, "a call in which nobody says a word ends after", least=1),
    Spec("limits.dials_per_minute", int, 300, "provider sessions opened in a minute", least=1),
    Spec("limits.start_timeout_s", float, 5.0, "a stream without start is closed after", least=0.1),
    Spec("limits.stream_timeout_s", float, 20.0, "a webhook without stream is given up after", least=0.1),
    Spec("limits.max_message_bytes", int, 1024 * 1024, "one message of the carrier", least=1024),
    Spec("record.dir", str, "", "where records go; empty: the user's data directory"),
    Spec("record.audio", bool, False, "keep a stereo recording of every call"),
    Spec("record.digits", bool, False, "keep the digits of keys that callers press; else a key is only counted"),
    Spec("record.max_mb", int, 512, "size of the records; the oldest go first", least=1),
    Spec("record.lines_dir", str, "", "WAV files that replace the spoken lines, by name"),
    Spec("failure.policy", str, "say", "say: a spoken line, then the end; fall_through: the carrier's next verb",
         choices=("say", "fall_through")),
)  # fmt: skip
_BY_NAME = {spec.name: spec for spec in SPECS}
ALIASES = {"grok": "xai"}


@dataclass(frozen=True)
class Settings:
    """All settings, resolved once. ``settings["provider.name"]`` is a value, ``origin(name)`` where it came from."""

    values: Mapping[str, Value]
    base: Path  # what relative paths are relative to
    file: Path | None
    environment: Mapping[str, str] = field(repr=False, default_factory=dict)  # the proxy variables only

    def __getitem__(self, name: str) -> Any:
        return self.values[name].value

    def origin(self, name: str) -> str:
        return self.values[name].origin

    def secrets(self) -> list[str]:
        """Every secret's value, proxies' passwords among them, for the sieve that keeps them out of logs."""
        own = [v.value.reveal() for v in self.values.values() if isinstance(v.value, Secret) and v.value]
        return own + [found for url in self.environment.values() if (found := _password(url))]

    def table(self) -> list[tuple[str, str, str]]:
        """Name, value as it may be shown, origin."""
        return [(name, shown(value.value), value.origin) for name, value in self.values.items()]

    def path(self, name: str) -> Path | None:
        """A setting that names a file, made absolute; None when empty."""
        text = str(self[name])
        return (self.base / Path(text).expanduser()) if text else None


def _password(url: str) -> str | None:
    try:
        return urlsplit(url).password
    except ValueError:  # no URL: whoever uses the proxy says so
        return None


def shown(value: Any) -> str:
    """A value as it may be shown."""
    if isinstance(value, Secret):
        return value.fingerprint()
    return str(value).lower() if isinstance(value, bool) else str(value)


def load(
    flags: Mapping[str, Any] | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    file: Path | None = None,
    cwd: Path | None = None,
) -> Settings:
    """
    Resolve all settings. ``flags`` are by setting name, None meaning "not given".

    Raises SettingsError with every problem there is, not the first.
    """
    cwd = cwd or Path.cwd()
    env = dict(os.environ if environment is None else environment)
    path = file or (cwd / FILE if (cwd / FILE).is_file() else None)
    problems: list[str] = []
    from_file = _read_toml(path, problems) if path is not None else {}
    dotenv = (path.parent if path is not None else cwd) / ".env"
    from_dotenv = _read_dotenv(dotenv, problems) if dotenv.is_file() else {}
    values: dict[str, Value] = {}
    for spec in SPECS:
        raw, origin = _find(spec, flags or {}, env, from_dotenv, from_file)
        values[spec.name] = Value(_convert(spec, raw, origin, problems), origin)
    _check_environment(env, problems)
    if problems:
        raise SettingsError(problems)
    name = values["provider.name"]
    values["provider.name"] = Value(ALIASES.get(name.value, name.value), name.origin)
    proxies = {key: env[key] for key in env if key.lower() in ("https_proxy", "http_proxy", "no_proxy")}
    return Settings(values, path.parent if path is not None else cwd, path, proxies)


def _find(
    spec: Spec,
    flags: Mapping[str, Any],
    env: Mapping[str, str],
    dotenv: Mapping[str, tuple[str, str]],
    toml: Mapping[str, tuple[Any, str]],
) -> tuple[Any, str]:
    if flags.get(spec.name) is not None:
        return flags[spec.name], f"flag --{spec.name.partition('.')[2].replace('_', '-')}"
    if spec.variable in env:
        return env[spec.variable], f"environment {spec.variable}"
    if spec.variable in dotenv:
        return dotenv[spec.variable]
    if spec.name in toml:
        return toml[spec.name]
    return spec.default, "default"


def _convert(spec: Spec, raw: Any, origin: str, problems: list[str]) -> Any:
    def bad(wanted: str, fix: str) -> Any:
        got = "a secret" if spec.kind is Secret else repr(raw)[:60]
        problems.append(f"{spec.name}: got {got} ({origin}), wanted {wanted}; {fix}")
        return spec.default

    if spec.kind is Secret:
        return raw if isinstance(raw, Secret) else Secret(str(raw))
    if spec.kind is bool:
        words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
        if isinstance(raw, bool):
            return raw
        if isinstance(raw, str) and raw.lower() in words:
            return words[raw.lower()]
        return bad("true or false", "correct it")
    if spec.kind in (int, float):
        try:
            number = spec.kind(raw) if not isinstance(raw, bool) else None
        except (TypeError, ValueError, OverflowError):
            number = None
        if number is None or (isinstance(raw, float) and spec.kind is int and raw != number):
            return bad("a whole number" if spec.kind is int else "a number", "correct it")
        if not math.isfinite(number):
            return bad("a number", "write a large one where there shall be no limit")
        if spec.least is not None and number < spec.least:
            return bad(f"at least {spec.least:g}", "correct it")
        if spec.most is not None and number > spec.most:
            return bad(f"at most {spec.most:.0f}", "correct it")
        return number
    if not isinstance(raw, str):
        return bad("text", "put it in quotes")
    if spec.choices and raw not in spec.choices:
        return bad(" or ".join(spec.choices), "choose one of these")
    return raw


def _read_toml(path: Path, problems: list[str]) -> dict[str, tuple[Any, str]]:
    try:
        text = path.read_text(encoding="utf-8")
        data = tomllib.loads(text)
    except FileNotFoundError:
        raise SettingsError([f"{path}: no such file; `offhook init` writes one"]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError([f"{path}: cannot be read: {error}"]) from None
    except (ValueError, RecursionError) as error:  # a TOMLDecodeError, or a number or a nesting beyond Python's
        raise SettingsError([f"{path}: not TOML: {str(error)[:200]}"]) from None
    found: dict[str, tuple[Any, str]] = {}
    for section, keys in data.items():
        if not isinstance(keys, dict):
            problems.append(f"{path.name}: {section} stands outside a section; wanted [section] and key = value")
            continue
        for key, value in keys.items():
            name = f"{section}.{key}"
            where = f"{path.name}:{_line(text, section, key)}"
            if name in _BY_NAME:
                found[name] = (value, where)
            else:
                problems.append(f"{name}: no such setting ({where}){_hint(name)}")
    return found


def _line(text: str, section: str, key: str) -> int:
    """The line that a key is written on."""
    current = ""
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[\s*([\w.-]+)\s*\]", line)
        if header:
            current = header[1]
        elif current == section and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", line):
            return number
    return 1


def _hint(name: str) -> str:
    close = get_close_matches(name, _BY_NAME, n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else "; `offhook config` lists them"


def _read_dotenv(path: Path, problems: list[str]) -> dict[str, tuple[str, str]]:
    from dotenv.parser import parse_stream

    found: dict[str, tuple[str, str]] = {}
    try:
        with path.open(encoding="utf-8") as stream:
            for binding in parse_stream(stream):
                line = binding.original.line
                if binding.error:
                    problems.append(f".env:{line}: not NAME=value; correct the line")
                elif binding.key and binding.value is not None:
                    found[binding.key] = (binding.value, f".env:{line}")
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{path}: cannot be read: {error}")
    known = {spec.variable for spec in SPECS}
    for key, (_, where) in found.items():
        if key.startswith("OFFHOOK_") and key not in known:
            problems.append(f"{key}: no such setting ({where}){_env_hint(key)}")
    return found


_NOT_SETTINGS = {"OFFHOOK_DEBUG", "OFFHOOK_SIDE_EFFECTS"}  # the second is of offhook.testing


def _check_environment(env: Mapping[str, str], problems: list[str]) -> None:
    known = {spec.variable for spec in SPECS} | _NOT_SETTINGS
    strange = [key for key in env if key.startswith("OFFHOOK_") and key not in known]
    problems += [f"{key}: no such setting (environment){_env_hint(key)}" for key in strange]


def _env_hint(key: str) -> str:
    close = get_close_matches(key, [spec.variable for spec in SPECS], n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else "; `offhook config` lists them"
