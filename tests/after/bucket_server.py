"""
A stand-in of an S3 bucket that refuses what S3 refuses: a signature that does not fit (SigV4, computed here from the
specification and not by our client), another bucket, a body that is not what was signed, parts that do not fit.

Source: docs.aws.amazon.com, "Signature Version 4 signing process" and API_PutObject, API_CompleteMultipartUpload.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit
from xml.etree import ElementTree

KEY, SECRET, BUCKET, REGION = "AKIATEST", "s3cret/Key", "calls", "eu-north-1"


class BucketServer:
    def __init__(self, base: str) -> None:
        self.url = base
        self.objects: dict[str, bytes] = {}
        self.tags: dict[str, str] = {}
        self.refused: list[str] = []
        self.fail: list[int] = []  # statuses of the next answers
        self.encrypted = False  # tags that are no MD5 of what was sent
        self.parts: dict[str, dict[int, bytes]] = {}


def _signature(method: str, path: str, headers: Any, signed: str, stamp: str) -> str:
    parts = urlsplit(path)
    query = "&".join(
        f"{quote(name, safe='~')}={quote(value, safe='~')}"
        for name, value in sorted(parse_qsl(parts.query, keep_blank_values=True))
    )
    lines = "".join(f"{name}:{' '.join(headers[name].split())}\n" for name in signed.split(";"))
    canonical = "\n".join((method, parts.path, query, lines, signed, headers["x-amz-content-sha256"]))
    scope = f"{stamp[:8]}/{REGION}/s3/aws4_request"
    text = "\n".join(("AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()))
    key = b"AWS4" + SECRET.encode()
    for part in (stamp[:8], REGION, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), hashlib.sha256)
    return hmac.digest(key, text.encode(), hashlib.sha256).hex()


class _Handler(BaseHTTPRequestHandler):
    bucket: BucketServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: Any) -> None:
        return None

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _refuse(self, status: int, code: str) -> None:
        self.bucket.refused.append(code)
        self._answer(status, f"<Error><Code>{code}</Code></Error>".encode())

    def _key(self, body: bytes) -> str | None:
        """The object's name, once the request has shown that it may; else None, and it was refused."""
        if self.bucket.fail:
            self._refuse(self.bucket.fail.pop(0), "SlowDown")
            return None
        said = self.headers.get("authorization", "").partition(" ")[2]
        given = dict(part.strip().split("=", 1) for part in said.split(",") if part)
        if not given.get("Credential", "").startswith(f"{KEY}/"):
            self._refuse(403, "InvalidAccessKeyId")
            return None
        stamp = self.headers["x-amz-date"]
        if given["Signature"] != _signature(self.command, self.path, self.headers, given["SignedHeaders"], stamp):
            self._refuse(403, "SignatureDoesNotMatch")
            return None
        told = self.headers["x-amz-content-sha256"]
        if told not in ("UNSIGNED-PAYLOAD", hashlib.sha256(body).hexdigest()):
            self._refuse(400, "XAmzContentSHA256Mismatch")
            return None
        bucket, _, key = urlsplit(self.path).path[1:].partition("/")
        if bucket != BUCKET:
            self._refuse(404, "NoSuchBucket")
            return None
        return key

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        key, query = self._key(body), dict(parse_qsl(urlsplit(self.path).query))
        if key is None:
            return
        if "partNumber" in query:
            self.bucket.parts[query["uploadId"]][int(query["partNumber"])] = body
            self._answer(200, ETag=f'"{hashlib.md5(body).hexdigest()}"')
            return
        tag = hashlib.md5(b"kms" + body if self.bucket.encrypted else body).hexdigest()
        self.bucket.objects[key], self.bucket.tags[key] = body, tag
        self._answer(200, ETag=f'"{tag}"')

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        key = self._key(body)
        if key is None:
            return
        query = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        if "delete" in query:
            gone = _texts(body, "Key")
            for name in gone:
                self.bucket.objects.pop(name, None)
            listed = "".join(f"<Deleted><Key>{name}</Key></Deleted>" for name in gone)
            self._answer(200, f"<DeleteResult>{listed}</DeleteResult>".encode())
            return
        if "uploads" in query:
            name = f"up{len(self.bucket.parts)}"
            self.bucket.parts[name] = {}
            text = f"<InitiateMultipartUploadResult><UploadId>{name}</UploadId></InitiateMultipartUploadResult>"
            self._answer(200, text.encode())
            return
        parts = self.bucket.parts.pop(query["uploadId"])
        wanted = [
            int(node.text or 0) for node in ElementTree.fromstring(body).iter() if node.tag.endswith("PartNumber")
        ]
        if wanted != sorted(parts):
            self._refuse(400, "InvalidPart")
            return
        chunks = [parts[number] for number in wanted]
        digest = hashlib.md5(b"".join(hashlib.md5(chunk).digest() for chunk in chunks)).hexdigest()
        self.bucket.objects[key], self.bucket.tags[key] = b"".join(chunks), f"{digest}-{len(chunks)}"
        text = f"<CompleteMultipartUploadResult><ETag>{self.bucket.tags[key]}</ETag></CompleteMultipartUploadResult>"
        self._answer(200, text.encode())

    def do_HEAD(self) -> None:
        key = self._key(b"")
        if key is None:
            return
        if key not in self.bucket.objects:
            self._answer(404)
            return
        size = str(len(self.bucket.objects[key]))
        stamp = "Wed, 25 Nov 2026 12:00:00 GMT"
        self._answer(200, ETag=f'"{self.bucket.tags[key]}"', Content_Length=size, Last_Modified=stamp)

    def do_GET(self) -> None:
        key = self._key(b"")
        if key is not None and key not in self.bucket.objects:
            self._refuse(404, "NoSuchKey")
        elif key is not None:
            stamp = "Wed, 25 Nov 2026 12:00:00 GMT"
            self._answer(200, self.bucket.objects[key], ETag=f'"{self.bucket.tags[key]}"', Last_Modified=stamp)


def _texts(body: bytes, tag: str) -> list[str]:
    return [node.text or "" for node in ElementTree.fromstring(body).iter() if node.tag.rpartition("}")[2] == tag]


@contextmanager
def bucket_server() -> Iterator[BucketServer]:
    handler = type("Handler", (_Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    handler.bucket = BucketServer(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield handler.bucket
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
