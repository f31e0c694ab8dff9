"""
The statements that a bidirectional Media Streams server is held to, by id: those that `offhook dial` checks others by.

Every id is carried by at least one test of this folder (``@pytest.mark.sid``); ``test_checklist.py`` sees to it.
"""

from offhook.dial.statements import STATEMENTS

__all__ = ["NOT_MET", "STATEMENTS"]

# What cannot be met, and why. An id stands here or has a test, never neither.
NOT_MET: dict[str, str] = {}
