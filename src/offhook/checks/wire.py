"""The providers there are, by name, and the keys that the settings hold for them."""

from __future__ import annotations

import importlib
from types import ModuleType

from offhook.settings import Settings
from offhook.vocab import ToolSpec

__all__ = ["HANG_UP", "PROVIDERS", "key_of", "provider_module", "usable_keys"]

PROVIDERS = ("openai", "xai", "loopback")

HANG_UP = ToolSpec(
    name="hang_up",
    description=(
        "End the phone call. Use it when the caller asks to end the call, or says goodbye and nothing is left to do. "
        "Say a short goodbye before."
    ),
    parameters={"type": "object", "properties": {}, "additionalProperties": False},
)


def provider_module(name: str) -> ModuleType:
    """The wire of a provider."""
    return importlib.import_module(f"offhook.wires.providers.{name}")


def key_of(settings: Settings, module: ModuleType) -> str:
    """The key for a provider; empty where it has none."""
    return str(settings[f"provider.{module.NAME}_key"].reveal()) if module.KEY_ENV else ""


def usable_keys(settings: Settings) -> list[str]:
    """The providers that there is a key for."""
    return [name for name in PROVIDERS if key_of(settings, provider_module(name)).strip()]
