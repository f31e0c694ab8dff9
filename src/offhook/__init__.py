"""A realtime voice bridge for AI agents: phone calls joined to speech-to-speech models."""

__version__ = "0.1.0"
