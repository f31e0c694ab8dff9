"""
What is to be done after calls, made of the settings; and the row for each of it, written as a call is stored.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa
from msgspec import Struct

from offhook.after import queue
from offhook.after.bucket import Bucket, upload
from offhook.after.command import Command, command
from offhook.after.hook import EVENTS, Hook
from offhook.after.payload import document, encoded
from offhook.after.sign import key_of
from offhook.after.summary import PROMPT, Model, by_command, by_model
from offhook.after.webhook import Target, promotion, webhook
from offhook.evidence.patterns import Patterns
from offhook.outward import forbidden, split, url_problem
from offhook.proxies import choose_proxy
from offhook.settings import TABLES, Secret, Section, Settings
from offhook.store import schema
from offhook.store.projection import Rows

__all__ = ["Plan", "PlanProblem", "planned"]

UPLOAD = ":upload"
OLD_S = 24 * 3600.0  # of calls that ended longer ago nobody is told: a store that is filled anew is no news
_KINDS = ("url", "command", "gptme_server")
_UNSET = {spec.name: spec.default for table in TABLES if table.name == "hooks" for spec in table.fields}


class PlanProblem(Exception):
    """A setting that cannot work."""

    def __init__(self, setting: str, got: str, wanted: str, fix: str) -> None:
        super().__init__(setting, got, wanted, fix)
        self.setting, self.got, self.wanted, self.fix = setting, got, wanted, fix

    def __str__(self) -> str:
        return f"{self.setting}: got {self.got}, wanted {self.wanted}; {self.fix}"


class Plan(Struct, frozen=True, kw_only=True):
    """Everything that happens after a call; ``hooks`` are by the name that their rows have."""

    hooks: Mapping[str, Hook]
    bucket: Bucket | None = None
    patterns: Patterns
    archives: tuple[Path, ...] = ()

    def stored(self, connection: sa.Connection, rows: Rows) -> int:
        """In the transaction that stores a whole call: what is to be done for it; how many rows."""
        call = rows.call
        if not self.hooks or not _ours(call) or _old(call):
            return 0
        recording = self._recording(call)
        numbers = _numbers(connection, call["id"])
        n = 0
        if self.bucket is not None and recording.get("url"):
            said = json.dumps({"file": recording["file"], "url": recording["url"]})
            n += queue.add(connection, call, self.hooks[UPLOAD], said, held=False)
        talked = any(turn["who"] == "caller" and turn["text"] for turn in rows.children.get("turns", []))
        summary = self.hooks.get(queue.SUMMARY) if talked else None
        for hook in self.hooks.values():
            event = hook.wants(call) if hook.kind != "upload" else ""
            if not event or (hook.kind == "summary" and summary is None):
                continue
            made = encoded(document(event, rows, hook, self.patterns, numbers, recording))
            waits = summary is not None and hook.kind in ("webhook", "command")
            n += queue.add(connection, call, hook, made, held=waits)
        return n

    def _recording(self, call: Mapping[str, Any]) -> dict[str, Any]:
        if not call["recording"]:
            return {}
        url = self.bucket.url(call["recording"]) if self.bucket is not None else None
        return {"file": call["recording"], "url": url}


def _ours(call: Mapping[str, Any]) -> bool:
    """Whether a server of ours answered or placed it: no refused request, and no record of a dial or a tap."""
    return bool(call["server"]) and call["call"] != "refused"


def _old(call: Mapping[str, Any]) -> bool:
    ended_s = call["began_at"] / 1000 + (call["seconds"] or 0.0)
    return bool(time.time() - ended_s > OLD_S)


def _numbers(connection: sa.Connection, record: str) -> dict[str, str | None]:
    """In full, where the store keeps them."""
    c = schema.calls.c
    row = connection.execute(sa.select(c.caller_number, c.called_number).where(c.id == record)).first()
    return {"caller": row.caller_number or None, "called": row.called_number or None} if row is not None else {}


# ------------------------------------------------------------------------------------------------ from the settings


def planned(settings: Settings, records: Path) -> tuple[Plan, list[PlanProblem]]:
    """What the settings ask for, and what of it cannot be."""
    hooks: dict[str, Hook] = {}
    problems: list[PlanProblem] = []
    archives: list[Path] = []
    for section in settings.sections("hooks"):
        try:
            hook = _hook(settings, section, records)
        except PlanProblem as problem:
            problems.append(problem)
            continue
        hooks[hook.name] = hook
        if _get(section, "gptme"):
            archives.append(_archive_dir(settings, section, records))
    for make in (_summary, _upload):
        try:
            made = make(settings, records)
        except PlanProblem as problem:
            problems.append(problem)
            continue
        if made is not None:
            hooks[made.name] = made
    bucket = _bucket(settings) if UPLOAD in hooks else None
    store = settings["store.url"].reveal().strip()
    if hooks and store == "off":
        problems.append(PlanProblem("store.url", "off, with hooks, a summary or record.s3", "a store, which remembers "
                                    "what is to be done", "remove store.url, or what needs it"))  # fmt: skip
    plan = Plan(hooks=hooks, bucket=bucket, patterns=Patterns(settings["redact.patterns"]), archives=tuple(archives))
    return plan, problems


def _hook(settings: Settings, section: Section, records: Path) -> Hook:
    title = section.title

    def bad(field: str, got: str, wanted: str, fix: str) -> PlanProblem:
        where = section.origin(field) if field in section else section.where
        return PlanProblem(f"{title}.{field}", f"{got} ({where})", wanted, fix)

    named = [kind for kind in _KINDS if _get(section, kind)]
    if len(named) != 1:
        got = "nothing" if not named else " and ".join(named)
        raise bad("url", got, "one of url, command and gptme_server", "name the one that is meant")
    unknown = [event for event in _get(section, "events") if event not in EVENTS]
    if unknown:
        raise bad("events", unknown[0], " or ".join(EVENTS), "choose of these")
    if _get(section, "numbers") and not settings["store.numbers"]:
        fix = "set store.numbers = true, or leave numbers out"
        raise bad("numbers", "true, while the store keeps no full numbers", "store.numbers = true", fix)
    kind: Literal["url", "command", "gptme_server"] = named[0]  # type: ignore[assignment]
    common = {
        "name": section.name, "events": tuple(_get(section, "events")), "agents": tuple(_get(section, "agents")),
        "delay_s": _get(section, "delay_s"), "numbers": _get(section, "numbers"), "redact": _get(section, "redact"),
    }  # fmt: skip
    retries = _get(section, "retries")
    if kind == "command":
        given = Command(
            argv=section["command"], env=_texts(section, "env"), cwd=_cwd(settings, _get(section, "cwd")),
            deadline_s=_get(section, "deadline_s") or 300.0, records=records,
            archive_dir=_archive_dir(settings, section, records) if _get(section, "gptme") else None,
        )  # fmt: skip
        return Hook(kind="command", run=command(given), deadline_s=given.deadline_s, where=given.argv[0],
                    retries=max(0, retries), repeatable=_get(section, "idempotent"), **common)  # fmt: skip
    url = section[kind]
    why = _url_problem(url, _get(section, "allow"))
    if why is not None:
        raise bad(kind, f"{url[:80]!r}: {why}", "https:// and a public name", 'or admit it: allow = ["HOST"]')
    target = Target(
        url=url, headers=_texts(section, "headers"), allow=tuple(_get(section, "allow")),
        proxy=choose_proxy(url, settings.environment), deadline_s=_get(section, "deadline_s") or 20.0,
    )  # fmt: skip
    common |= {"deadline_s": target.deadline_s, "retries": 8 if retries < 0 else retries, "where": split(url)[1]}
    secret = section["secret"].reveal() if "secret" in section else ""
    if kind == "gptme_server":
        if not _get(section, "numbers"):
            raise bad("numbers", "nothing", "numbers = true: conversations there are named by number", "write it")
        return Hook(kind="transcript", run=promotion(target, secret), **common)
    try:
        key = key_of(secret) if secret else None
    except ValueError as error:
        raise bad("secret", str(error), "16 bytes or more, or whsec_ and base64", "make another one") from None
    return Hook(kind="webhook", run=webhook(target, key), **common)


def _get(section: Section, name: str) -> Any:
    """What stands in a section, or what an unset key means."""
    return section[name] if name in section else _UNSET[name]


def _texts(section: Section, name: str) -> dict[str, str]:
    """A table of texts, secrets among them."""
    return {key: one.reveal() if isinstance(one, Secret) else str(one) for key, one in _get(section, name).items()}


def _url_problem(url: str, allow: Any) -> str | None:
    """Why nothing would be sent there; a host that is admitted by name may be private and speak http."""
    try:
        _, host, _ = split(url)
    except ValueError as error:
        return str(error)
    try:
        admitted = not forbidden(host, host, allow)
    except ValueError:
        admitted = host.lower() in {str(entry).lower() for entry in allow}
    return url_problem(url, private=admitted)


def _cwd(settings: Settings, given: str) -> str:
    return str((settings.base / Path(given).expanduser()).resolve()) if given else str(settings.base.resolve())


def _archive_dir(settings: Settings, section: Section, records: Path) -> Path:
    given = _get(section, "archive_dir")
    return settings.base / Path(given).expanduser() if given else records / "gptme-archive"


def _summary(settings: Settings, records: Path) -> Hook | None:
    argv, url = settings["summary.command"], settings["summary.url"]
    if not argv and not url:
        return None
    if argv and url:
        raise PlanProblem("summary.url", "an address and summary.command", "one of the two", "remove one")
    deadline_s, most = settings["summary.deadline_s"], settings["summary.max_chars"]
    if argv:
        run = by_command(argv, cwd=_cwd(settings, ""), deadline_s=deadline_s, max_chars=most)
        where = argv[0]
    else:
        allow = settings["summary.allow"]
        why = _url_problem(url, allow)
        if why is not None:
            fix = 'or admit it: summary.allow = ["HOST"]'
            raise PlanProblem("summary.url", f"{url[:80]!r}: {why}", "https:// and a public name", fix)
        if not settings["summary.model"]:
            raise PlanProblem("summary.model", "nothing", "the model's name", "write which model summarizes")
        model = Model(
            url=url, model=settings["summary.model"], key=settings["summary.key"].reveal(), allow=allow,
            proxy=choose_proxy(url, settings.environment),
            prompt=settings["summary.prompt"] or PROMPT, deadline_s=deadline_s, max_chars=most,
        )  # fmt: skip
        run, where = by_model(model), split(url)[1]
    return Hook(name=queue.SUMMARY, kind="summary", run=run, events=EVENTS, deadline_s=deadline_s,
                retries=settings["summary.retries"], where=where)  # fmt: skip


def _bucket(settings: Settings) -> Bucket:
    return Bucket(
        where=settings["record.s3"], endpoint=settings["record.s3_endpoint"], region=settings["record.s3_region"],
        key_id=settings["record.s3_key_id"], secret=settings["record.s3_secret"].reveal(),
        token=settings["record.s3_token"].reveal(),
    )  # fmt: skip


def _upload(settings: Settings, records: Path) -> Hook | None:
    where = settings["record.s3"]
    if not where:
        return None
    bucket = _bucket(settings)
    if not where.startswith("s3://") or not bucket.name:
        raise PlanProblem("record.s3", repr(where[:80]), "s3://BUCKET or s3://BUCKET/PREFIX", "correct it")
    if not settings["record.audio"]:
        raise PlanProblem("record.s3", "a bucket, while nothing is recorded", "record.audio = true", "write it")
    if not bucket.key_id or not bucket.secret:
        fix = "put AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY into .env"
        raise PlanProblem("record.s3_key_id", "nothing", "the key pair that may write there", fix)
    endpoint = bucket.endpoint
    if endpoint and not endpoint.startswith(("https://", "http://")):
        raise PlanProblem("record.s3_endpoint", repr(endpoint[:80]), "https://HOST", "correct it, or leave it out")
    from importlib.util import find_spec

    if find_spec("obstore") is None:
        raise PlanProblem("record.s3", "a bucket, without its client", "the extra s3", "pip install 'offhook[s3]'")
    run = upload(bucket, records, keep_local=settings["record.s3_keep_local"])
    return Hook(name=UPLOAD, kind="upload", run=run, events=EVENTS, deadline_s=bucket.timeout_s, where=bucket.name)
