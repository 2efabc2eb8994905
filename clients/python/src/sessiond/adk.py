"""Sessions of Google's Agent Development Kit, kept in sessiond."""

from __future__ import annotations

import asyncio
import weakref
from datetime import datetime, timezone
from typing import Any, Optional
from urllib.parse import parse_qs, unquote, urlsplit

from google.adk.errors.already_exists_error import AlreadyExistsError
from google.adk.errors.session_not_found_error import SessionNotFoundError
from google.adk.events.event import Event
from google.adk.sessions.base_session_service import (
    BaseSessionService,
    GetSessionConfig,
    ListSessionsResponse,
)
from google.adk.sessions.session import Session
from google.adk.sessions.state import State
from typing_extensions import override

from . import types
from ._async import AsyncClient
from .errors import SessiondError

try:
    from google.adk.errors._stale_session_error import StaleSessionError
except ImportError:  # A release that does not tell it apart.
    StaleSessionError = ValueError  # type: ignore[assignment,misc]


class SessiondSessionService(BaseSessionService):
    """A ``BaseSessionService`` over a daemon.

    Events come back as they were written. Deltas with the prefixes ``app:`` and ``user:`` are shared,
    ``temp:`` is never stored, and None is a value. An append never fails because another one came
    first; it does fail, with StaleSessionError, when the session was deleted and created again.

    Args:
        uri: ``sessiond://[TOKEN@]HOST[:PORT][?tls=1]``, or an http or https URL; else SESSIOND_URL.
        options: further ones of AsyncClient, such as ``token`` and ``retry``.
    """

    def __init__(self, uri: str | None = None, *, agents_dir: str | None = None, **options: Any):
        super().__init__()
        url, token = _place(uri)
        if token is not None:
            options.setdefault("token", token)
        self._url = url
        self._options = options
        # Connections belong to an event loop, and a runner may make several.
        self._clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncClient] = (
            weakref.WeakKeyDictionary()
        )

    @property
    def _client(self) -> AsyncClient:
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            client = self._clients[loop] = AsyncClient(self._url, **self._options)
        return client

    async def close(self) -> None:
        """Closes the connections of this event loop."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.close()

    @override
    async def create_session(
        self,
        *,
        app_name: str,
        user_id: str,
        state: Optional[dict[str, Any]] = None,
        session_id: Optional[str] = None,
    ) -> Session:
        session_id = (session_id.strip() or None) if session_id else None
        try:
            stored = await self._client.create_session(app_name, user_id, session_id, state=state)
        except SessiondError as error:
            if error.code == "session_exists":
                raise AlreadyExistsError(f"Session with id {session_id} already exists.") from error
            raise
        return _session(app_name, user_id, stored)

    @override
    async def get_session(
        self,
        *,
        app_name: str,
        user_id: str,
        session_id: str,
        config: Optional[GetSessionConfig] = None,
    ) -> Optional[Session]:
        key = types.SessionKey(app_name, user_id, session_id.strip())
        count = config.num_recent_events if config else None
        after = config.after_timestamp if config else None
        try:
            if count is not None and count <= _LARGEST_READ:
                stored = await self._client.get_session(key, limit=count, window="exact")
            else:
                stored = await self._client.all_events(key)
        except SessiondError as error:
            if error.code == "session_not_found":
                return None
            raise
        session = _session(app_name, user_id, stored)
        if count is not None:
            session.events = session.events[-count:] if count else []
        if after is not None:
            session.events = _since(session.events, after)
        return session

    @override
    async def list_sessions(
        self, *, app_name: str, user_id: Optional[str] = None
    ) -> ListSessionsResponse:
        if user_id is None:
            raise NotImplementedError("sessiond lists the sessions of one user: give a user_id.")
        sessions: list[Session] = []
        token: str | None = None
        while True:
            page = await self._client.list_sessions(
                app_name, user_id, page_size=1000, page_token=token, include="state"
            )
            sessions.extend(_session(app_name, user_id, it) for it in page["sessions"])
            token = page.get("next_page_token")
            if token is None:
                break
        # A session that was written while pages were read may stand on two of them.
        newest = {it.id: it for it in sorted(sessions, key=lambda it: it.last_update_time)}
        ordered = sorted(newest.values(), key=lambda it: (it.last_update_time, it.user_id, it.id))
        return ListSessionsResponse(sessions=ordered)

    @override
    async def delete_session(self, *, app_name: str, user_id: str, session_id: str) -> None:
        await self._client.delete_session(types.SessionKey(app_name, user_id, session_id.strip()))

    @override
    async def get_user_state(self, *, app_name: str, user_id: str) -> dict[str, Any]:
        return await self._client.get_state(app_name, user_id)

    @override
    async def append_event(self, session: Session, event: Event) -> Event:
        if event.partial:
            return event
        key = types.SessionKey(session.app_name, session.user_id, session.id)
        # What was sent and not stored must not show in the caller's objects: they change afterwards.
        item = types.Item(id=event.id, dialect="adk", event=_body(event))
        try:
            reply = await self._client.append_items(key, [item], generation=_generation(session))
        except SessiondError as error:
            if error.code == "session_not_found":
                raise SessionNotFoundError(f"Session {session.id} not found.") from error
            if error.code == "other_generation":
                raise StaleSessionError(
                    f"Session {session.id} was deleted and created again: get it anew."
                ) from error
            raise
        self._apply_temp_state(session, event)
        event = self._trim_temp_delta_state(event)
        event = self._commit_event_to_session(session, event)
        session.last_update_time = event.timestamp
        session._storage_update_marker = f"{reply['generation']}-{reply.get('revision', 0)}"
        return event


_LARGEST_READ = 10_000


def _place(uri: str | None) -> tuple[str | None, str | None]:
    """Where the daemon is, and the token to show."""
    if uri is None or not uri.startswith("sessiond:"):
        return uri, None
    parts = urlsplit(uri)
    options = parse_qs(parts.query)
    unknown = options.keys() - {"tls"}
    if unknown:
        raise ValueError(f"{uri.split('?')[0]}: unknown option {', '.join(sorted(unknown))}; there is tls=1")
    tls = options.get("tls", ["0"])[-1] in ("1", "true")
    host = parts.netloc.rpartition("@")[2] or "127.0.0.1"
    if parts.port is None and not tls:
        host = f"{host}:7717"
    token = unquote(parts.username) if parts.username else None
    return f"{'https' if tls else 'http'}://{host}{parts.path.rstrip('/')}", token


def _body(event: Event) -> dict[str, Any]:
    body = event.model_dump(mode="json", by_alias=True, exclude_none=True)
    delta = body.get("actions", {}).get("stateDelta")
    if delta:
        kept = {name: it for name, it in delta.items() if not name.startswith(State.TEMP_PREFIX)}
        body["actions"]["stateDelta"] = kept
    return body


def _session(app: str, user: str, stored: types.Session) -> Session:
    events = [
        Event.model_validate(it["event"]) for it in stored.get("events", []) if it["dialect"] == "adk"
    ]
    session = Session(
        id=stored["id"],
        app_name=app,
        user_id=user,
        state=stored.get("state", {}),
        events=events,
        last_update_time=_seconds(stored["updated_at"]),
    )
    session._storage_update_marker = f"{stored['generation']}-{stored['revision']}"
    return session


def _generation(session: Session) -> int | None:
    marker = session._storage_update_marker
    generation = marker.partition("-")[0] if marker else ""
    return int(generation) if generation.isdigit() else None


def _seconds(time: str) -> float:
    whole, _, rest = time.removesuffix("Z").partition(".")
    at = datetime.fromisoformat(whole).replace(tzinfo=timezone.utc)
    return at.timestamp() + (float(f"0.{rest}") if rest else 0.0)


def _since(events: list[Event], after: float) -> list[Event]:
    """Events from the end back to the last one that is too old, as the other services do it."""
    for place in range(len(events) - 1, -1, -1):
        if events[place].timestamp < after:
            return events[place + 1 :]
    return events
