"""A realtime voice bridge for AI agents: phone calls joined to speech-to-speech models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from offhook.agent.tools import CallContext, ToolError, tool

__all__ = ["CallContext", "ToolError", "__version__", "tool"]
__version__ = "0.1.0"

_FROM = {"CallContext": "offhook.agent.tools", "ToolError": "offhook.agent.tools", "tool": "offhook.agent.tools"}


def __getattr__(name: str) -> Any:
    """Load what is asked for, and nothing before: ``offhook --help`` needs none of it."""
    if name not in _FROM:
        raise AttributeError(name)
    import importlib

    return getattr(importlib.import_module(_FROM[name]), name)
