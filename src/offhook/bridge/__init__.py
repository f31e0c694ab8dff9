"""One call between a carrier and a provider, as a pure state machine: events in, commands out, time told."""

from offhook.bridge.bridge import Bridge
from offhook.bridge.settings import BridgeSettings

__all__ = ["Bridge", "BridgeSettings"]
