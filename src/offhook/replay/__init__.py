"""Replaying recorded calls: see ``play.py``."""

from offhook.replay.play import Outcome, Setup, replay

__all__ = ["Outcome", "Setup", "replay"]
