"""The log of a service, on standard error: every record a line, and nothing past the sieve."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time

from offhook.evidence.redact import Sieve

__all__ = ["Line", "log_to_stderr"]

log = logging.getLogger("offhook")


class Line(logging.Formatter):
    """One line a record: time, level, what happened, then its data; known secrets never pass."""

    def __init__(self, sieve: Sieve) -> None:
        super().__init__()
        self._sieve = sieve
        self._own = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

    def format(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        data = self._sieve.clean_data({name: value for name, value in vars(record).items() if name not in self._own})
        words = [stamp, record.levelname.lower(), record.getMessage()]
        words += [f"{name}={json.dumps(value, default=str)}" for name, value in data.items()]
        text = " ".join(words)
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return self._sieve.clean(text)


def log_to_stderr(sieve: Sieve) -> None:
    """
    The service's log: a line when a call starts, one when it ends, one for what was refused.

    What libraries warn of, and exceptions that nobody caught, go the same way: through the sieve.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Line(sieve))
    log.handlers[:] = [handler]
    log.setLevel(logging.INFO)
    log.propagate = False
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    sys.excepthook = lambda *error: log.critical("defect", exc_info=error)
    threading.excepthook = lambda told: log.critical(
        "defect in a thread", exc_info=(told.exc_type, told.exc_value or told.exc_type(), told.exc_traceback)
    )
