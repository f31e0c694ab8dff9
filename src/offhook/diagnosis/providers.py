"""
Whose a name is: which provider a model, a key or a host belongs to. Dated facts of the wires, asked by rules. Pure.
"""

from __future__ import annotations

from offhook.wires._wire import Fact

__all__ = ["owner_of_host", "owner_of_key", "owner_of_model"]

# Beginnings of model names and keys, and hosts, as the vendors' pages show them.
_MODELS = Fact(
    (("gpt-", "openai"), ("grok-", "xai"), ("gemini-", "google"), ("nova-", "aws")),
    "platform.openai.com/docs/models; docs.x.ai; ai.google.dev",
    "2026-11-22",
)
_KEYS = Fact((("OPENAI", "openai"), ("XAI", "xai"), ("GEMINI", "google"), ("GOOGLE", "google")), "same", "2026-11-22")
_HOSTS = Fact(
    (("openai.com", "openai"), ("x.ai", "xai"), ("googleapis.com", "google"), ("azure.com", "azure")),
    "same",
    "2026-11-22",
)


def owner_of_model(model: str) -> str:
    """Whose model it is by its name; empty where the name does not tell."""
    return next((owner for head, owner in _MODELS.value if model.lower().startswith(head)), "")


def owner_of_key(env: str) -> str:
    """Whose key a variable holds, by its name."""
    return next((owner for head, owner in _KEYS.value if env.upper().startswith(head)), "")


def owner_of_host(host: str) -> str:
    """Whose host it is."""
    return next((owner for tail, owner in _HOSTS.value if host == tail or host.endswith("." + tail)), "")
