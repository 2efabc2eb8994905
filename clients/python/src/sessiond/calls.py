"""Every request, without the sending: the two clients share it."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Iterable, Mapping, Sequence
from urllib.parse import quote

from .errors import SessiondError
from .types import Dialect, Item, SessionKey


@dataclass
class Call:
    """A request. One that is not repeatable is sent again only if it was surely not done."""

    method: str
    path: str
    params: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    repeatable: bool = True


def encode(value: Any) -> bytes:
    """JSON, exactly. Raises ValueError for what JSON cannot say, such as NaN."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError:  # A lone surrogate exists as an escape only.
        return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()


def problem_of(status: int, body: bytes) -> SessiondError:
    """The error that an answer says."""
    try:
        problem = json.loads(body)
        return SessiondError(status, problem["code"], problem["detail"], problem)
    except (ValueError, KeyError, TypeError):
        text = body[:200].decode(errors="replace")
        return SessiondError(status, f"http_{status}", text or "an answer without a body")


def _part(text: str) -> str:
    return quote(text, safe="")


def _user(app: str, user: str) -> str:
    return f"/v1/apps/{_part(app)}/users/{_part(user)}"


def _sessions(app: str, user: str) -> str:
    return f"{_user(app, user)}/sessions"


def _session(key: SessionKey) -> str:
    return f"{_sessions(key.app, key.user)}/{_part(key.session)}"


def _params(**params: Any) -> dict[str, str]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else str(value)
        for name, value in params.items()
        if value is not None
    }


def _conditions(if_match: str | None, lease: str | None) -> dict[str, str]:
    headers = {"If-Match": if_match, "Session-Lease": lease}
    return {name: value for name, value in headers.items() if value is not None}


def create(
    app: str, user: str, id: str | None, state: Mapping[str, Any] | None, if_exists: str
) -> Call:
    body: dict[str, Any] = {} if id is None else {"id": id}
    if state:
        body["state"] = dict(state)
    # A create that failed on the way may have been done: sent again it would say "exists".
    return Call(
        "POST",
        _sessions(app, user),
        _params(if_exists=if_exists),
        body=encode(body),
        repeatable=if_exists == "return" and id is not None,
    )


def read(key: SessionKey, **params: Any) -> Call:
    return Call("GET", _session(key), _params(**params))


def list_sessions(app: str, user: str, **params: Any) -> Call:
    return Call("GET", _sessions(app, user), _params(**params))


def batch_get(app: str, user: str, ids: Sequence[str], **params: Any) -> Call:
    path = f"{_sessions(app, user)}:batch_get"
    return Call("POST", path, _params(**params), body=encode({"ids": list(ids)}))


def delete(key: SessionKey) -> Call:
    return Call("DELETE", _session(key))


def set_ttl(key: SessionKey, ttl: str, lease: str | None) -> Call:
    return Call("PATCH", _session(key), headers=_conditions(None, lease), body=encode({"ttl": ttl}))


def items_of(events: Iterable[Mapping[str, Any]], dialect: Dialect | None) -> list[Item]:
    """Events as items, each with an id of its own."""
    return [Item(id=str(uuid.uuid4()), event=dict(event), **_named(dialect)) for event in events]


def _named(dialect: Dialect | None) -> Any:
    return {} if dialect is None else {"dialect": dialect}


def append(
    key: SessionKey,
    items: Sequence[Item],
    generation: int | None,
    if_match: str | None,
    lease: str | None,
) -> Call:
    body: dict[str, Any] = {
        "events": [item if "id" in item else {"id": str(uuid.uuid4()), **item} for item in items]
    }
    if generation is not None:
        body["generation"] = generation
    # A repeated If-Match would fail because of the first attempt.
    return Call(
        "POST",
        f"{_session(key)}/events",
        headers=_conditions(if_match, lease),
        body=encode(body),
        repeatable=if_match is None,
    )


def events(key: SessionKey, **params: Any) -> Call:
    return Call("GET", f"{_session(key)}/events", _params(**params))


def event(key: SessionKey, id: str, before: int, after: int) -> Call:
    params = _params(before=before or None, after=after or None)
    return Call("GET", f"{_session(key)}/events/{_part(id)}", params)


def edit(
    key: SessionKey, verb: str, body: Mapping[str, Any], lease: str | None, repeatable: bool
) -> Call:
    body = {name: value for name, value in body.items() if value is not None}
    return Call(
        "POST",
        f"{_session(key)}:{verb}",
        headers=_conditions(None, lease),
        body=encode(body),
        repeatable=repeatable,
    )


def _scope(app: str, user: str | None, session: str | None) -> str:
    if user is None:
        return f"/v1/apps/{_part(app)}/state"
    if session is None:
        return f"{_user(app, user)}/state"
    return f"{_session(SessionKey(app, user, session))}/state"


def state(app: str, user: str | None, session: str | None) -> Call:
    return Call("GET", _scope(app, user, session))


def patch_state(
    app: str,
    user: str | None,
    session: str | None,
    state: Mapping[str, Any],
    if_match: str | None,
    lease: str | None,
) -> Call:
    return Call(
        "PATCH",
        _scope(app, user, session),
        headers=_conditions(if_match, lease),
        body=encode({"state": dict(state)}),
        repeatable=if_match is None,
    )


def delete_state(app: str, user: str | None, session: str | None, key: str) -> Call:
    return Call("DELETE", f"{_scope(app, user, session)}/{_part(key)}")


def summaries(key: SessionKey) -> Call:
    return Call("GET", f"{_session(key)}/summaries")


def summarize(key: SessionKey, filter_key: str, force: bool, wait: bool) -> Call:
    body = encode({"filter_key": filter_key, "force": force, "wait": wait})
    return Call("POST", f"{_session(key)}/summaries", body=body)


def append_track(
    key: SessionKey, track: str, items: Sequence[Mapping[str, Any]], lease: str | None
) -> Call:
    events = [item if "id" in item else {"id": str(uuid.uuid4()), **item} for item in items]
    path = f"{_session(key)}/tracks/{_part(track)}"
    return Call(
        "POST", path, headers=_conditions(None, lease), body=encode({"events": events})
    )


def track(key: SessionKey, track: str, after_seq: int, limit: int) -> Call:
    path = f"{_session(key)}/tracks/{_part(track)}"
    return Call("GET", path, _params(after_seq=after_seq, limit=limit))


def delete_track(key: SessionKey, track: str, lease: str | None) -> Call:
    path = f"{_session(key)}/tracks/{_part(track)}"
    return Call("DELETE", path, headers=_conditions(None, lease))


def watch(key: SessionKey, cursor: str | None, limit: int | None, window: str | None) -> Call:
    headers = {"Accept": "text/event-stream"}
    if cursor is not None:
        headers["Last-Event-ID"] = cursor
    return Call("GET", f"{_session(key)}:watch", _params(limit=limit, window=window), headers)
