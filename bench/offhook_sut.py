"""
Offhook as the referee's system under test: `python offhook_sut.py PORT PROVIDER_URL [plain|all|on]`.

As in production in each case: signatures, tokens, journal, meters, marks. `plain` has no store, no recording and no
tools; `all` and `on` have all three; without any it is as the defaults are. The settings come by environment and file,
as a service's would; the carrier's Auth Token is the one that `bench/run` gives the referee.
"""

import os
import sys
import tempfile

TOKEN = "bench-token-0123456789abcdef"
TOOLS = """
from offhook import tool

@tool(changes=False)
def clock() -> str:
    "What time it is."
    return "a quarter past ten"
"""


def main() -> None:
    port, provider, how = sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else ""
    folder = tempfile.mkdtemp(prefix="offhook-bench-", dir="/dev/shm")
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
        "OFFHOOK_RECORD_DIR": folder,
    }
    if how == "plain":
        os.environ["OFFHOOK_STORE_URL"] = "off"
    if how in ("all", "on"):
        os.environ["OFFHOOK_RECORD_AUDIO"] = "true"
        os.chdir(folder)
        with open("tools.py", "w") as file:
            file.write(TOOLS)
        with open("offhook.toml", "w") as file:
            file.write('[tools.clock]\npython = "tools.py"\n')
    sys.argv = ["offhook", "serve"]
    from offhook.cli import main as run

    run()


if __name__ == "__main__":
    main()
