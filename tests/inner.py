"""The pytest that a test starts, as a user does: without the plugins that only this project's environment has."""

import sys

__all__ = ["PYTEST"]

_OURS = ("schemathesis", "streamdouble", "hypothesispytest", "xdist", "anyio")  # two seconds to import
PYTEST = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *(f"-pno:{name}" for name in _OURS))
