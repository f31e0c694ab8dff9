"""``offhook service systemd``: a unit for running as a service."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from offhook.settings import Settings

__all__ = ["systemd", "unit"]


def unit(settings: Settings, user: str, environment_file: str, program: str) -> str:
    """The unit's text."""
    file = settings.file
    option = f" --config {file.resolve()}" if file is not None else ""
    folder = settings.base.resolve()
    # what is left of the running calls is ended politely after the drain: a spoken line, its mark, the carrier's stop
    stop_s = int(settings["server.drain_s"]) + 25
    return f"""\
[Unit]
Description=Offhook voice bridge
Documentation=man:offhook(1)
Wants=network-online.target
After=network-online.target

[Service]
Type=notify
NotifyAccess=main
User={user}
WorkingDirectory={folder}
EnvironmentFile={environment_file}
Environment=OFFHOOK_RECORD_DIR=/var/lib/offhook
StateDirectory=offhook
ExecStartPre={program} check settings{option}
ExecStart={program} serve{option}
KillSignal=SIGTERM
KillMode=mixed
TimeoutStopSec={stop_s}
Restart=on-failure
RestartSec=2
RestartPreventExitStatus=2
LimitNOFILE=65536
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes

[Install]
WantedBy=multi-user.target
"""


def systemd(settings: Settings, user: str, environment_file: str) -> int:
    """Print the unit."""
    program = shutil.which("offhook") or f"{Path(sys.executable).resolve()} -m offhook"
    sys.stdout.write(unit(settings, user, environment_file, program))
    return 0
