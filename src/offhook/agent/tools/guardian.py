"""
A small process between the server and one delegate's program: whatever the program starts cannot leave it (Linux).

It is a *child subreaper* (prctl(2), Linux 3.4): a process whose parent dies becomes its child, whatever session, group
or environment that one made for itself. So "no child is left", which the kernel answers at once, means that nothing
of the program is left, and can be proven. When the server dies, however it dies, its end of the control socket
closes, and the program is ended too.

Run as a file by a bare interpreter (``python -I -S guardian.py FD PROGRAM ...``) to begin in milliseconds: imports
nothing of Offhook. On the socket come ``go``, before which it starts nothing, and ``end GRACE_MS``; there go ``begun
PID`` before the program's first instruction (which may be to kill us), then ``started PID`` or ``failed ERRNO`` (or
``cannot ERRNO``: it would be no guardian), ``exit STATUS``, and ``ended SIGNALS PIDS`` (what was sent, what is left).
"""

import errno
import os
import select
import signal
import sys
import time

__all__ = ["descendants"]

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
KILL_S = 3.0
LOOK_S = 0.02


def descendants(root: int) -> list[int]:
    """Every living process below ``root``, by the parents that /proc names."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    state, parent = file.read().rpartition(b")")[2].split()[:2]
            except (OSError, ValueError):
                continue  # gone meanwhile
            if state not in b"ZX":
                children.setdefault(int(parent), []).append(int(name))
    found: list[int] = []
    todo = [root]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


class Guardian:
    """One program and all that comes of it."""

    def __init__(self, control: int) -> None:
        self.control = control
        self.program = 0
        self.alone = False  # the server is gone
        self.wake, wake = os.pipe()
        for end in (self.wake, wake):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._told_to_go)

    def _told_to_go(self, *_: object) -> None:
        self.alone = True

    def say(self, text: str) -> None:
        try:
            os.write(self.control, text.encode() + b"\n")
        except OSError:
            self.alone = True

    def start(self, argv: list[str]) -> None:
        """
        The program in a session of its own, held until the server has been told whom it will be.

        The errno of an exec that fails comes back by a pipe.
        """
        reading, writing = os.pipe()  # closed by exec
        held, release = os.pipe()
        self.program = os.fork()
        if not self.program:
            try:
                os.close(release)
                if not os.read(held, 1):
                    os._exit(127)  # nobody guards it any more
                signal.set_wakeup_fd(-1)
                for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE):
                    signal.signal(number, signal.SIG_DFL)
                os.setsid()
                os.execvp(argv[0], argv)
            except OSError as error:
                os.write(writing, str(error.errno or errno.EIO).encode())
            finally:
                os._exit(127)
        self.say(f"begun {self.program}")
        os.write(release, b"!")
        for fd in (held, release, writing):
            os.close(fd)
        failed = os.read(reading, 16).decode()
        os.close(reading)
        self.say(f"failed {failed}" if failed else f"started {self.program}")
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):  # the program's, not ours: they end when it closes them
            os.dup2(null, fd)

    def reap(self) -> bool:
        """Fetch the dead; whether anything is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if not pid:
                return True
            if pid == self.program:
                self.say(f"exit {os.waitstatus_to_exitcode(status)}")

    def end(self, grace_s: float) -> None:
        """TERM, then KILL again and again: what a process starts while it is being killed is found by the next look."""
        sent = []
        for number, name, wait_s in ((signal.SIGTERM, "TERM", grace_s), (signal.SIGKILL, "KILL", KILL_S)):
            if not self.reap():
                break
            sent.append(name)
            until, seen = time.monotonic() + wait_s, set[int]()
            while self.reap() and time.monotonic() < until:
                for pid in descendants(os.getpid()):
                    if number == signal.SIGKILL or pid not in seen:
                        seen.add(pid)
                        _signal(pid, number)
                time.sleep(LOOK_S)
        left = descendants(os.getpid()) if self.reap() else []
        self.say(f"ended {'+'.join(sent) or '-'} {','.join(map(str, left)) or '-'}")

    def serve(self) -> None:
        """Until the server lets go; then nothing of the program may be left."""
        asked = b""
        while not self.alone:
            ready, _, _ = select.select([self.control, self.wake], [], [])
            if self.wake in ready:
                os.read(self.wake, 512)
                self.reap()
            if self.control in ready:
                data = os.read(self.control, 512)
                asked += data
                self.alone = self.alone or not data
            while b"\n" in asked:
                line, _, asked = asked.partition(b"\n")
                self.end(int(line.split()[1]) / 1000)
        if self.reap():
            self.end(1.0)


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass  # gone meanwhile
    except PermissionError:
        pass  # it became another user (setuid): it stays in what is left


def main() -> None:
    import ctypes

    control = int(sys.argv[1])
    os.set_inheritable(control, False)
    libc = ctypes.CDLL(None, use_errno=True)
    guardian = Guardian(control)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        guardian.say(f"cannot {ctypes.get_errno()}")  # a kernel before 3.4, or a sandbox that forbids it
        return
    if os.read(control, len(b"go\n")):
        guardian.start(sys.argv[2:])
        guardian.serve()


if __name__ == "__main__":
    main()
