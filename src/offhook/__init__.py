"""
A realtime voice bridge for AI agents: phone calls joined to speech-to-speech models.

``from offhook import Agent, tool, serve`` is the whole Python face; each is loaded when it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from offhook.agent.profile import Agent
    from offhook.agent.tools import CallContext, ToolError, tool
    from offhook.cli.declared import serve

__all__ = ["Agent", "CallContext", "ToolError", "__version__", "serve", "tool"]
__version__ = "0.1.0"

_FROM = {
    "Agent": "offhook.agent.profile",
    "CallContext": "offhook.agent.tools",
    "ToolError": "offhook.agent.tools",
    "serve": "offhook.cli.declared",
    "tool": "offhook.agent.tools",
}


def __getattr__(name: str) -> Any:
    """Load what is asked for, and nothing before: ``offhook --help`` needs none of it."""
    if name not in _FROM:
        raise AttributeError(name)
    import importlib

    return getattr(importlib.import_module(_FROM[name]), name)
