"""
Recordings in an S3-compatible store: put there, proven there, removed there.

Proven means: the store says the size and the entity tag that our file has. A file of up to 64 MB goes in one request,
whose tag is its MD5; a larger one in parts, whose tag is the MD5 of their MD5s, a dash and their number. (A bucket with
keys of KMS gives other tags; there the size alone is compared, and that is said.)
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from offhook.after.hook import Job, Outcome, Run
from offhook.agent.tools.threads import in_thread

__all__ = ["Bucket", "BucketError", "upload"]

PART_BYTES = 16 * 1024 * 1024
ONE_BYTES = 64 * 1024 * 1024
_TAG = re.compile(r'"?([0-9a-f]{32}(?:-\d+)?)"?')


class BucketError(Exception):
    """What the store did not do, in a line; ``last``: it would not do it at another try either."""

    def __init__(self, why: str, *, last: bool = False) -> None:
        super().__init__(why)
        self.last = last


class Bucket(Struct, frozen=True, kw_only=True):
    """A bucket, and the way into it. ``where`` is ``s3://bucket/prefix``."""

    where: str
    endpoint: str = ""
    region: str = ""
    key_id: str = ""
    secret: str = ""
    token: str = ""
    timeout_s: float = 600.0

    @property
    def _place(self) -> str:
        return f"{self.where} at {self.endpoint}" if self.endpoint else self.where

    @property
    def name(self) -> str:
        return urlsplit(self.where).netloc

    def key(self, file: str) -> str:
        prefix = urlsplit(self.where).path.strip("/")
        return f"{prefix}/{file}" if prefix else file

    def url(self, file: str) -> str:
        return f"s3://{self.name}/{self.key(file)}"

    def put(self, path: Path, file: str) -> str:
        """Send a file and prove it there; what was proven. Raises BucketError, FileNotFoundError."""
        size, tag = path.stat().st_size, _tag(path)
        parts = size > ONE_BYTES
        with _told(self._place):
            import obstore

            store, key = self._store(), self.key(file)
            obstore.put(
                store, key, path, use_multipart=parts, chunk_size=PART_BYTES, attributes={"Content-Type": "audio/wav"}
            )
            there = obstore.head(store, key)
        if there["size"] != size:
            raise BucketError(f"{self.url(file)} has {there['size']} bytes, wanted {size}")
        said = _TAG.fullmatch(there["e_tag"] or "")
        if said is None:
            return "size"
        if said[1] != tag:
            # an encrypted bucket's tag has the same form: then a third look, at the bytes, is the only proof
            with _told(self._place):
                other = hashlib.md5(bytes(obstore.get(store, key).bytes()), usedforsecurity=False).hexdigest()
            if other != _md5(path):
                raise BucketError(f"{self.url(file)} does not have the bytes that were sent")
            return "size and bytes"
        return "size and tag"

    def fetch(self, url: str, path: Path, most_bytes: int) -> None:
        """Bring what ``url`` names; the file is there when it is whole. Raises BucketError, OSError."""
        key, beside = self._key_of(url), path.with_name(f"{path.name}.part")
        with _told(self._place):
            import obstore
            from obstore.exceptions import NotFoundError

            try:
                found = obstore.get(self._store(), key)
            except (NotFoundError, FileNotFoundError):
                raise BucketError(f"{url} is not there", last=True) from None
            if found.meta["size"] > most_bytes:
                raise BucketError(f"it has {found.meta['size']} bytes, wanted at most {most_bytes}", last=True)
            try:
                with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                    for chunk in found.stream(min_chunk_size=1024 * 1024):
                        file.write(chunk)
                beside.replace(path)
            finally:
                beside.unlink(missing_ok=True)

    def has(self, file: str) -> bool:
        """Raises BucketError."""
        return self._has(self.key(file))

    def _has(self, key: str) -> bool:
        with _told(self._place):
            import obstore
            from obstore.exceptions import NotFoundError

            try:
                obstore.head(self._store(), key)
            except (NotFoundError, FileNotFoundError):
                return False
        return True

    def remove(self, url: str) -> None:
        """Remove what ``url`` names; one that is not there is no failure. Raises BucketError."""
        key = self._key_of(url)
        with _told(self._place):
            import obstore
            from obstore.exceptions import NotFoundError

            try:
                obstore.delete(self._store(), key)
            except (NotFoundError, FileNotFoundError):
                return
        if self._has(key):
            raise BucketError(f"{url} was to be removed, and is still there")

    def _key_of(self, url: str) -> str:
        parts = urlsplit(url)
        if parts.netloc != self.name:
            raise BucketError(f"{url} lies in another bucket than record.s3 names ({self.name})", last=True)
        return parts.path.lstrip("/")

    def _store(self) -> Any:
        from obstore.store import S3Store

        given: dict[str, Any] = {"region": self.region or "us-east-1"}
        if self.endpoint:
            given["endpoint"] = self.endpoint
        if self.key_id:
            given |= {"access_key_id": self.key_id, "secret_access_key": self.secret}
        if self.token:
            given["session_token"] = self.token
        return S3Store(
            self.name, **given,
            client_options={"allow_http": self.endpoint.startswith("http://"), "timeout": f"{self.timeout_s:g}s"},
            retry_config={"max_retries": 1, "retry_timeout": timedelta(seconds=self.timeout_s)},
        )  # fmt: skip


class _told:
    """Errors of the client and the network as BucketErrors: why, then where; in a line, without what was signed."""

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is None or error is None or isinstance(error, BucketError):
            return
        if isinstance(error, ModuleNotFoundError):
            raise BucketError("the client is not installed: pip install 'offhook[s3]'", last=True) from None
        from obstore.exceptions import BaseError

        if isinstance(error, (BaseError, OSError, ValueError)):
            raise BucketError(f"{_short(error)}: {self._where}") from None  # where it is is for the log, not for all


def _short(error: BaseException) -> str:
    whole = str(error)
    text = " ".join(whole.partition("Debug source:")[0].split())
    said = re.search(r"<Code>(\w+)</Code>", text)
    status = re.search(r"status (\d{3}[\w ]*)", text)
    if said or status:
        return ", ".join(found[1].strip() for found in (status, said) if found)
    if re.search(r"kind: (Connect|Timeout)\b", whole):  # the system's or the resolver's own words, else what failed
        system = re.findall(r'(?:message|error): "([^"]{1,120})"', whole)
        failed = re.findall(r"\b(Invalid\w+|\w*Cert\w*|TimedOut)\b", whole)
        why = next(iter([*system, *failed]), "no answer in time").replace(": ", ", ")
        return f"no connection ({why})"
    return f"{type(error).__name__} {text[:160]}".replace(": ", ", ")


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _tag(path: Path) -> str:
    """The entity tag that S3 gives the file (docs.aws.amazon.com, API_Object; seen 2026-11-25)."""
    if path.stat().st_size <= ONE_BYTES:
        return _md5(path)
    parts, count = b"", 0
    with path.open("rb") as file:
        while chunk := file.read(PART_BYTES):
            parts += hashlib.md5(chunk, usedforsecurity=False).digest()
            count += 1
    return f"{hashlib.md5(parts, usedforsecurity=False).hexdigest()}-{count}"


def _gone(bucket: Bucket, file: str) -> Outcome:
    """A file that is not on the disk: taken off after an upload of which nobody could say any more, or before one."""
    try:
        there = bucket.has(file)
    except BucketError as error:
        return Outcome(False, str(error), last=error.last)
    return Outcome(there, "" if there else f"{file} is not on the disk any more", last=True)


def upload(bucket: Bucket, records: Path, *, keep_local: bool) -> Run:
    """Put a call's recording into the bucket, and take it off the disk where that is wanted and it is proven there."""

    async def run(job: Job) -> Outcome:
        file = json.loads(job.payload)["file"]
        path = records / file
        try:
            proof = await in_thread(f"upload {file}", lambda: bucket.put(path, file))
        except FileNotFoundError:
            return await in_thread(f"look for {file}", lambda: _gone(bucket, file))
        except BucketError as error:
            return Outcome(False, str(error), last=error.last)
        if not keep_local:
            path.unlink(missing_ok=True)
        return Outcome(True, result=proof)

    return run
