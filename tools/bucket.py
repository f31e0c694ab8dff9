"""
Puts a recording into S3-compatible servers that nobody here wrote: ``make s3``. Not part of ``make test``: heavy.

They are installed into an environment of their own (``.s3``): moto's server from the Python index, and s3rver where
there is npm. For each: put, proof, in parts, removal. Neither refuses a wrong key (seen 2026-11-25, moto 5.2.5, s3rver
3.7.1); that the signature is right is proven against tests/after/bucket_server.py.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from offhook.after import bucket as buckets
from offhook.after.bucket import Bucket

HOME = Path(__file__).parent.parent / ".s3"
KEYS = {"key_id": "S3RVER", "secret": "S3RVER"}
FILE = "20261125T120000Z-CA1.wav"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def moto(port: int) -> list[str]:
    python = HOME / "bin" / "python"
    if not python.exists():
        venv.create(HOME, with_pip=True)
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "moto[server]"]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    return [str(HOME / "bin" / "moto_server"), "-H", "127.0.0.1", "-p", str(port)]


def s3rver(port: int) -> list[str]:
    subprocess.run(["npm", "install", "--silent", "--prefix", str(HOME), "s3rver"], check=True)
    run = [str(HOME / "node_modules" / ".bin" / "s3rver"), "-a", "127.0.0.1", "-p", str(port)]
    return [*run, "-d", tempfile.mkdtemp(), "--configure-bucket", "calls"]


@contextmanager
def running(command: list[str], port: int) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(timeout=10)


def tried(name: str, bucket: Bucket, folder: Path) -> bool:
    path = folder / FILE
    path.write_bytes(os.urandom(300_000))
    said = [f"put: {bucket.put(path, FILE)}"]
    good = bucket.has(FILE)
    long = folder / "long.wav"
    long.write_bytes(os.urandom(buckets.ONE_BYTES + 1_000_000))
    said.append(f"in parts: {bucket.put(long, 'long.wav')}")
    for file in (FILE, "long.wav"):
        bucket.remove(bucket.url(file))
        good &= not bucket.has(file)
    bucket.remove(bucket.url(FILE))  # what is not there is no failure
    sys.stdout.write(f"{'+' if good else '-'} {name}: {'; '.join(said)}; removed\n")
    return good


def main() -> int:
    HOME.mkdir(exist_ok=True)
    servers = [("moto", moto), *([("s3rver", s3rver)] if shutil.which("npm") else [])]
    good = True
    for name, made in servers:
        port = free_port()
        with running(made(port), port), tempfile.TemporaryDirectory() as folder:
            bucket = Bucket(where="s3://calls/voice", endpoint=f"http://127.0.0.1:{port}", timeout_s=60, **KEYS)
            if name == "moto":
                subprocess.run(["curl", "-fsS", "-X", "PUT", f"http://127.0.0.1:{port}/calls"], check=True)
            good &= tried(name, bucket, Path(folder))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
