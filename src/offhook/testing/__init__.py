"""
For tests of voice agents: a phone, fake providers, faults by name, and what can be asserted of a call.

As pytest fixtures (``offhook_call``, ``offhook_phone``, ``offhook_provider``, ``offhook_server``; see docs/testing.md)
or as plain classes. ``VirtualCall`` runs our bridge in virtual time, ``PhoneCall`` calls any server over real sockets.
"""

from offhook.sims.provider_scene import Answer
from offhook.testing.effects import side_effects_allowed
from offhook.testing.loop import Background
from offhook.testing.real import PhoneCall, Provider
from offhook.testing.server import ServerProcess
from offhook.testing.speech import speech
from offhook.testing.virtual import VirtualCall

__all__ = [
    "Answer", "Background", "PhoneCall", "Provider", "ServerProcess", "VirtualCall", "side_effects_allowed", "speech",
]  # fmt: skip
