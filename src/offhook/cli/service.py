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
    option = f" --config {_quoted(str(file.resolve()))}" if file is not None else ""
    folder = str(settings.base.resolve()).replace("%", "%%")
    low_port = "AmbientCapabilities=CAP_NET_BIND_SERVICE\n" if 0 < settings["server.port"] < 1024 else ""
    # what is left of the running calls is ended politely after the drain: a spoken line, its mark, the carrier's stop
    stop_s = int(settings["server.drain_s"]) + 25
    return f"""\
[Unit]
Description=Offhook voice bridge
Documentation=https://github.com/offhook/offhook
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
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
{low_port}
[Install]
WantedBy=multi-user.target
"""


def systemd(settings: Settings, user: str, environment_file: str) -> int:
    """Print the unit."""
    sys.stdout.write(unit(settings, user, environment_file, _program()))
    return 0


def _program() -> str:
    """
    How the service starts this very installation.

    The command beside the running interpreter comes first. A link to the interpreter is not followed: it leads out of
    the virtual environment that the package is installed in.
    """
    python = Path(sys.executable).absolute()
    beside = python.with_name("offhook")
    found = str(beside) if beside.is_file() else shutil.which("offhook")
    return _quoted(found) if found else f"{_quoted(str(python))} -m offhook"


def _quoted(path: str) -> str:
    """A path as systemd reads it (systemd.service, "Command lines"; systemd.unit, "Specifiers")."""
    text = path.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{text}"' if any(ch in text for ch in " \t\\\"';") else text
