"""
What an agent can do: Python functions, HTTP endpoints, MCP servers and delegates, all of one form.

``tool`` marks a function; ``ToolBox`` runs what was declared, off the media loop; ``CallContext`` is what a tool may
know and do of its call.
"""

from offhook.agent.tools.box import ToolBox
from offhook.agent.tools.context import CallContext, Turn
from offhook.agent.tools.function import tool
from offhook.agent.tools.spec import DeclarationError, Tool, ToolError

__all__ = ["CallContext", "DeclarationError", "Tool", "ToolBox", "ToolError", "Turn", "tool"]
