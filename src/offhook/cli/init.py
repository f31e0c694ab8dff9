"""``offhook init``: an offhook.toml of ten lines."""

from __future__ import annotations

import sys
from pathlib import Path

from offhook.checks.settings import PLACEHOLDER, PROVIDERS, provider_module
from offhook.settings import ALIASES, FILE, load

__all__ = ["run", "text"]


def text(provider: str, public_url: str) -> str:
    """The file's ten lines."""
    module = provider_module(provider)
    return (
        "[provider]\n"
        f'name = "{provider}"                # openai, xai or loopback; keys belong into .env\n'
        f'model = "{module.DEFAULT_MODEL.value}"\n'
        f'voice = "{module.DEFAULT_VOICE.value}"\n'
        "[agent]\n"
        'instructions = "You answer the phone. Be brief and friendly. The caller\'s number is {{caller_number}}."\n'
        'greeting = "Hello, how can I help you?"\n'
        "[server]\n"
        f'public_url = "{public_url or "https://" + PLACEHOLDER}"   # as the carrier reaches this machine\n'
        "port = 8080\n"
    )


def run(provider: str, public_url: str, force: bool) -> int:
    """Write the file; never over another one without being told to."""
    path = Path.cwd() / FILE
    provider = ALIASES.get(provider, provider)
    settings = load({}, file=None) if not path.exists() else None
    if not provider:
        keys = [
            name for name in PROVIDERS
            if settings and provider_module(name).KEY_ENV and settings[f"provider.{name}_key"]
        ]  # fmt: skip
        provider = keys[0] if len(keys) == 1 else ""
    if provider not in PROVIDERS:
        got = repr(provider) if provider else "nothing"
        sys.stderr.write(f"offhook: --provider: got {got}, wanted openai, xai (grok) or loopback; name one\n")
        return 2
    if path.exists() and not force:
        sys.stderr.write(f"offhook: {path} exists; --force overwrites it\n")
        return 2
    path.write_text(text(provider, public_url), encoding="utf-8")
    env = path.parent / ".env"
    key = provider_module(provider).KEY_ENV
    sys.stdout.write(f"wrote {path}\n")
    sys.stdout.write(f"{'found' if env.is_file() else 'no'} {env}\n")
    wanted = [name for name in (key, "TWILIO_AUTH_TOKEN", "TWILIO_ACCOUNT_SID") if name]
    sys.stdout.write(f"next: put {', '.join(wanted)} into .env, set public_url, then `offhook check settings`\n")
    return 0
