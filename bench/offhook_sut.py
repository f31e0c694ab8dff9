"""
Offhook as the referee's system under test: `python offhook_sut.py PORT PROVIDER_URL`.

Everything is on as in production: signatures, tokens, journal, meters, marks. The settings come by environment, as a
service's would; the carrier's Auth Token is the one that `bench/run` gives the referee.
"""

import os
import sys
import tempfile

TOKEN = "bench-token-0123456789abcdef"


def main() -> None:
    port, provider = sys.argv[1], sys.argv[2]
    os.environ |= {
        "OFFHOOK_PROVIDER_NAME": "openai",
        "OPENAI_API_KEY": "sk-bench-0000000000000000",
        "OFFHOOK_PROVIDER_URL": provider,
        "OFFHOOK_SERVER_PORT": port,
        "OFFHOOK_SERVER_PUBLIC_URL": "https://bench.offhook.example",
        "TWILIO_AUTH_TOKEN": TOKEN,
        "OFFHOOK_LIMITS_MAX_CALLS": "5000",
        "OFFHOOK_LIMITS_DIALS_PER_MINUTE": "100000",
        "OFFHOOK_LIMITS_STREAM_TIMEOUT_S": "120",
        "OFFHOOK_RECORD_DIR": tempfile.mkdtemp(prefix="offhook-bench-", dir="/dev/shm"),
    }
    sys.argv = ["offhook", "serve"]
    from offhook.cli import main as run

    run()


if __name__ == "__main__":
    main()
