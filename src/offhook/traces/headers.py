"""The headers that traces are sent with, as the settings have them. Knows no network."""

from __future__ import annotations

__all__ = ["HeadersError", "headers_of"]


class HeadersError(Exception):
    """What was wanted of a text that is no list of headers; the text is a secret and not told."""


def headers_of(text: str) -> dict[str, str]:
    """``name=value,name=value``, as OTEL_EXPORTER_OTLP_HEADERS has it. Raises HeadersError."""
    found = {}
    for part in filter(None, (one.strip() for one in text.split(","))):
        name, equals, value = part.partition("=")
        if not equals or not name.strip():
            raise HeadersError("name=value,name=value")
        found[name.strip()] = value.strip()
    return found
