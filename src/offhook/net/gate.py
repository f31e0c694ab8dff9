"""
Which requests are really the carrier's: its signature on webhooks and on upgrades, and what becomes of all others.

A refusal is answered with its reason, counted, logged and, where something of the carrier was in it, written down.
Knows no call and no wire by name.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct

from offhook.net.metrics import Metrics
from offhook.net.notes import RequestNotes
from offhook.net.parties import Carrier
from offhook.net.server import UpgradeRequest
from offhook.wires._wire import Refusal

__all__ = ["Answer", "Gate", "Refused"]

log = logging.getLogger("offhook")


class Answer(Struct, frozen=True):
    """An HTTP answer."""

    status: int
    body: bytes
    content_type: str = "text/xml; charset=utf-8"


class Refused(Exception):
    """A request that is answered with a refusal."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


class Gate:
    """
    Lets the carrier's requests in.

    ``oracle`` says which variant of a request a wrong signature would be right for; only a record asks it.
    """

    def __init__(
        self, carrier: Carrier, notes: RequestNotes, metrics: Metrics, oracle: Callable[..., Any] | None
    ) -> None:
        self._carrier = carrier
        self._notes = notes
        self._metrics = metrics
        self._oracle = oracle

    def webhook(self, method: str, path_qs: str, headers: Sequence[tuple[str, str]], body: bytes) -> Any:
        """The webhook that a request is, read by the carrier's wire; raises ``Refused``."""
        why = self._forged("webhook", method, path_qs, headers, body)
        if why is not None:
            raise Refused(Answer(403, why.encode(), "text/plain; charset=utf-8"))
        try:
            return self._carrier.wire.parse_webhook(method, path_qs, headers, body)
        except self._carrier.wire.WebhookError as error:
            self._metrics.refused("webhook")
            log.warning("webhook refused", extra={"why": str(error)})
            raise Refused(Answer(400, f"{error}\n".encode(), "text/plain; charset=utf-8")) from None

    def upgrade(self, request: UpgradeRequest) -> Refusal | None:
        """Why an upgrade is not let in, or None."""
        settings = self._carrier.settings
        if request.path not in (
            self._carrier.wire.media_path(settings),
            settings.media_path,
        ):  # a proxy took the prefix
            self.missed("GET", request.path_qs, request.headers, 404, upgrade=True)
            return Refusal(404, f"no media stream at {request.path}\n", "path")
        why = self._forged("upgrade", "GET", request.path_qs, request.headers, b"", upgrade=True)
        return None if why is None else Refusal(403, why, "signature")

    def missed(self, method: str, path_qs: str, headers: Sequence[tuple[str, str]], status: int, **more: Any) -> None:
        """A request for something that is not served; what has nothing of the carrier in it is not kept."""
        signature = self._carrier.wire.SIGNATURE_HEADER.value.lower()
        if any(name.lower() == signature for name, _ in headers):
            self._notes.refused("webhook.missed", method, path_qs, headers, status, **more)

    def _forged(
        self, what: str, method: str, path_qs: str, headers: Sequence[tuple[str, str]], body: bytes, **more: bool
    ) -> str | None:
        """The text that refuses a request which the carrier has not signed, or None."""
        settings = self._carrier.settings
        result = self._carrier.wire.check_signature(settings, method, path_qs, headers, body, **more)
        if result.ok:
            return None
        self._metrics.refused("signature")
        log.warning(f"{what} refused", extra={"why": result.why, "tried": list(result.tried_urls)})
        said = {"present": not result.why.startswith("no "), "ok": False, "alg": result.algorithm, "why": result.why}
        if said["present"]:  # what is not even signed is nobody's call
            if self._oracle is not None and self._notes.room:
                found = self._oracle(settings, method, path_qs, headers, body, **more)
                said |= {"variant": found.variant, "signed_url": found.signed_url.partition("?")[0]}
            self._notes.refused(what, method, path_qs, headers, 403, why=result.why, signature=said)
        return f"signature refused: {result.why}\ncomputed over: {', '.join(result.tried_urls)}\n"
