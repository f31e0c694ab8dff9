"""
What a TwiML document of ours says, as a record keeps it: verb, stream, what follows; no value of a parameter.

Pure. How the carrier judges anybody's document is in ``sims/twiml.py``.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any
from urllib.parse import urlsplit

__all__ = ["describe"]


def describe(body: bytes) -> dict[str, Any]:
    """The facts of one document."""
    try:
        root = ET.fromstring(body)
    except ET.ParseError as error:
        return {"ok": False, "code": "12100", "why": f"not well-formed: {error}"[:120]}
    verbs = list(root)
    first = verbs[0] if verbs else None
    said: dict[str, Any] = {"ok": True, "verb": first.tag if first is not None else ""}
    stream = first.find("Stream") if first is not None else None
    if stream is None:
        return said
    url = urlsplit(stream.get("url", ""))
    said |= {
        "stream": {
            "scheme": url.scheme,
            "host": url.hostname or "",
            "port": url.port,
            "path": url.path,
            "query_keys": [pair.partition("=")[0] for pair in url.query.split("&") if pair],
        },
        "track": stream.get("track"),
        "parameters": [child.get("name", "") for child in stream if child.tag == "Parameter"],
        "next_verb": verbs[1].tag if len(verbs) > 1 else None,
    }
    return said
