"""
Whether tools may really do what they do: not in tests, unless the test asks for it.

The fixtures set the variable for the test's own process and for every server that they start.
"""

from __future__ import annotations

import os

__all__ = ["VARIABLE", "side_effects_allowed"]

VARIABLE = "OFFHOOK_SIDE_EFFECTS"


def side_effects_allowed() -> bool:
    """For tools: book, pay, send only where this is true. It is, unless a test has switched it off."""
    return os.environ.get(VARIABLE, "on").lower() not in ("off", "0", "no", "false")
