"""The blocking client. Its twin is ``AsyncClient``: what one can, the other can."""

from __future__ import annotations

import json
import os
import time
from typing import Any, Iterator, Mapping, Sequence

import httpx
from typing_extensions import Self

from . import calls
from .calls import Call
from .errors import SessiondError, UnreachableError
from .retry import Retry, may_send_again
from .sse import Frames
from .types import (
    AppendReply,
    Dialect,
    EditReply,
    EventPage,
    Item,
    Lease,
    Session,
    SessionKey,
    SessionPage,
    State,
    Summary,
    TrackPage,
    WatchFrame,
)

DEFAULT_URL = "http://127.0.0.1:7717"


class Client:
    """Talks to a daemon. Close it, or use it as a context manager.

    What may be sent again is sent again, with the same event ids, within the bounds of ``retry``.
    Raises SessiondError with a stable code when the daemon refuses, UnreachableError when it does not
    answer.

    Args:
        url: where the daemon listens; else the variable SESSIOND_URL, else the daemon's default.
        token: the bearer token; else the variable SESSIOND_TOKEN, else none.
        timeout: seconds for one attempt.
        retry: how often and after which time to send again.
        transport: for tests: how httpx sends.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        timeout: float = 30.0,
        retry: Retry = Retry(),
        transport: httpx.BaseTransport | None = None,
    ):
        token = token if token is not None else os.environ.get("SESSIOND_TOKEN")
        self.url = (url or os.environ.get("SESSIOND_URL") or DEFAULT_URL).rstrip("/")
        self._retry = retry
        self._http = httpx.Client(
            base_url=self.url,
            timeout=timeout,
            transport=transport,
            headers={"Authorization": f"Bearer {token}"} if token else {},
        )

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Sessions

    def create_session(
        self,
        app: str,
        user: str,
        session: str | None = None,
        *,
        state: Mapping[str, Any] | None = None,
        if_exists: str = "fail",
    ) -> Session:
        """Creates a session, by default with an id of the daemon's. ``if_exists``: fail or return."""
        return self._json(calls.create(app, user, session, state, if_exists))

    def get_session(
        self,
        key: SessionKey,
        *,
        limit: int | None = None,
        window: str | None = None,
        after_seq: int | None = None,
        before_seq: int | None = None,
        after_time: str | None = None,
        summary: str | None = None,
        max_bytes: int | None = None,
    ) -> Session:
        """Reads state, a window of events (by default the newest 1000, from a user's turn), summaries."""
        return self._json(
            calls.read(
                key,
                limit=limit,
                window=window,
                after_seq=after_seq,
                before_seq=before_seq,
                after_time=after_time,
                summary=summary,
                max_bytes=max_bytes,
            )
        )

    def list_sessions(
        self,
        app: str,
        user: str,
        *,
        page_size: int | None = None,
        page_token: str | None = None,
        include: str | None = None,
    ) -> SessionPage:
        """Lists a user's sessions, newest first; ``include="state"`` for their state."""
        return self._json(
            calls.list_sessions(
                app, user, page_size=page_size, page_token=page_token, include=include
            )
        )

    def get_sessions(
        self, app: str, user: str, sessions: Sequence[str], *, limit: int | None = None
    ) -> dict[str, Any]:
        """Reads several sessions: ``sessions`` and the ids that are ``missing``."""
        return self._json(calls.batch_get(app, user, sessions, limit=limit))

    def delete_session(self, key: SessionKey) -> None:
        """Deletes a session with all that is stored of it. None there is no error."""
        self._send(calls.delete(key))

    def set_ttl(self, key: SessionKey, ttl: str, *, lease: str | None = None) -> Session:
        """Gives it a time to live: a duration like ``30m``, or ``none``, or ``default``."""
        return self._json(calls.set_ttl(key, ttl, lease))

    # Events

    def append(
        self,
        key: SessionKey,
        events: Sequence[Mapping[str, Any]],
        *,
        dialect: Dialect | None = None,
        generation: int | None = None,
        if_match: str | None = None,
        lease: str | None = None,
    ) -> AppendReply:
        """Appends events, all or none. Each gets an id, so that a retry is no second event."""
        items = calls.items_of(events, dialect)
        return self.append_items(
            key, items, generation=generation, if_match=if_match, lease=lease
        )

    def append_items(
        self,
        key: SessionKey,
        items: Sequence[Item],
        *,
        generation: int | None = None,
        if_match: str | None = None,
        lease: str | None = None,
    ) -> AppendReply:
        """Appends events with ids, dialects and changes of state of your own."""
        return self._json(calls.append(key, items, generation, if_match, lease))

    def get_events(
        self,
        key: SessionKey,
        *,
        after_seq: int | None = None,
        before_seq: int | None = None,
        limit: int | None = None,
    ) -> EventPage:
        """A page of events: with ``after_seq`` the oldest after it, else the newest."""
        return self._json(
            calls.events(key, after_seq=after_seq, before_seq=before_seq, limit=limit)
        )

    def get_event(
        self, key: SessionKey, id: str, *, before: int = 0, after: int = 0
    ) -> EventPage:
        """An event, and so many before and after it."""
        return self._json(calls.event(key, id, before, after))

    def all_events(self, key: SessionKey) -> Session:
        """The session with all its events, however many."""
        session: Session = self.get_session(key, limit=1000, window="exact")
        events = session.get("events", [])
        before = next((it["seq"] for it in events if "seq" in it), 0)
        while before > 1:
            page = self.get_events(key, before_seq=before, limit=1000)
            if page.get("generation", session["generation"]) != session["generation"]:
                return self.all_events(key)
            events[:0] = page["events"]
            before = page.get("next_before_seq", 0)
        return session

    # Edits

    def pop(self, key: SessionKey, count: int = 1, *, lease: str | None = None) -> EditReply:
        """Takes the newest events out, and gives them. Never sent twice."""
        return self._json(calls.edit(key, "pop", {"count": count}, lease, False))

    def trim(
        self,
        key: SessionKey,
        *,
        keep_last: int | None = None,
        last_turns: int | None = None,
        before_seq: int | None = None,
        lease: str | None = None,
    ) -> EditReply:
        """Keeps the newest part. Give exactly one."""
        body = {"keep_last": keep_last, "last_turns": last_turns, "before_seq": before_seq}
        return self._json(calls.edit(key, "trim", body, lease, True))

    def clear(self, key: SessionKey, *, lease: str | None = None) -> EditReply:
        """Removes all events and summaries; state stays."""
        return self._json(calls.edit(key, "clear", {}, lease, True))

    def rewind(
        self,
        key: SessionKey,
        *,
        to_seq: int | None = None,
        before_invocation_id: str | None = None,
        lease: str | None = None,
    ) -> EditReply:
        """Goes back to a point, the session's state too. Give exactly one."""
        body = {"to_seq": to_seq, "before_invocation_id": before_invocation_id}
        return self._json(calls.edit(key, "rewind", body, lease, False))

    def fork(
        self,
        key: SessionKey,
        session: str | None = None,
        *,
        user: str | None = None,
        to_seq: int | None = None,
    ) -> Session:
        """Makes a session of this one, as it was at a point."""
        body = {"id": session, "user": user, "to_seq": to_seq}
        return self._json(calls.edit(key, "fork", body, None, False))

    def lease(
        self, key: SessionKey, ttl: str, *, holder: str | None = None, lease: str | None = None
    ) -> Lease:
        """Takes the right to write, or goes on with one."""
        body = {"ttl": ttl, "holder": holder}
        return self._json(calls.edit(key, "lease", body, lease, False))

    def release(self, key: SessionKey, lease: str) -> None:
        """Ends a lease."""
        self._send(calls.edit(key, "release", {}, lease, True))

    # State

    def get_state(
        self, app: str, user: str | None = None, session: str | None = None
    ) -> State:
        """The state of an app, of a user of it, or what a session of theirs sees."""
        return (self._json(calls.state(app, user, session)))["state"]

    def patch_state(
        self,
        state: Mapping[str, Any],
        app: str,
        user: str | None = None,
        session: str | None = None,
        *,
        if_match: str | None = None,
        lease: str | None = None,
    ) -> None:
        """Sets keys. None is a value: it is stored."""
        self._send(calls.patch_state(app, user, session, state, if_match, lease))

    def delete_state(
        self, key: str, app: str, user: str | None = None, session: str | None = None
    ) -> None:
        """Removes a key."""
        self._send(calls.delete_state(app, user, session, key))

    # Summaries

    def get_summaries(self, key: SessionKey) -> list[Summary]:
        """The summaries, one for each filter key."""
        return (self._json(calls.summaries(key)))["summaries"]

    def summarize(
        self, key: SessionKey, *, filter_key: str = "", force: bool = False, wait: bool = False
    ) -> dict[str, Any]:
        """Asks for a summary: ``outcome`` says what became of it."""
        return self._json(calls.summarize(key, filter_key, force, wait))

    # Tracks

    def append_track(
        self,
        key: SessionKey,
        track: str,
        items: Sequence[Mapping[str, Any]],
        *,
        lease: str | None = None,
    ) -> AppendReply:
        """Appends items (``{"event": ...}``) to a track."""
        return self._json(calls.append_track(key, track, items, lease))

    def get_track(
        self, key: SessionKey, track: str, *, after_seq: int = 0, limit: int = 100
    ) -> TrackPage:
        """A page of a track, oldest first."""
        return self._json(calls.track(key, track, after_seq, limit))

    def delete_track(
        self, key: SessionKey, track: str, *, lease: str | None = None
    ) -> None:
        """Removes a track."""
        self._send(calls.delete_track(key, track, lease))

    # Watching

    def watch(
        self,
        key: SessionKey,
        *,
        cursor: str | None = None,
        limit: int | None = None,
        window: str | None = None,
    ) -> Iterator[WatchFrame]:
        """What happens to a session: a snapshot, or what follows a cursor, and then as it comes.

        A broken connection is taken up where it broke. Ends when the session is deleted.
        """
        frames = Frames(cursor)
        failures = 0
        while True:
            retry_after = None
            try:
                call = calls.watch(key, frames.cursor, limit, window)
                with self._http.stream(
                    call.method,
                    call.path,
                    params=call.params,
                    headers=call.headers,
                    timeout=httpx.Timeout(30.0, read=60.0),
                ) as answer:
                    if answer.status_code >= 400:
                        retry_after = answer.headers.get("retry-after")
                        raise calls.problem_of(answer.status_code, answer.read())
                    for line in answer.iter_lines():
                        frame = frames.line(line)
                        if frame is None:
                            continue
                        failures = 0
                        if frame.kind == "error":
                            data = frame.data
                            raise SessiondError(
                                data.get("status", 0), data["code"], data["detail"], data
                            )
                        yield frame
                        if frame.kind == "delete":
                            return
                frames = Frames(frames.cursor)
                failures += 1
                if failures >= self._retry.attempts:
                    raise UnreachableError(f"{self.url} ends the stream again and again")
            except SessiondError as error:
                failures += 1
                if failures >= self._retry.attempts or not may_send_again(
                    error.status, error.code, True
                ):
                    raise
            except httpx.TransportError as error:
                frames = Frames(frames.cursor)
                failures += 1
                if failures >= self._retry.attempts:
                    raise UnreachableError(f"{self.url}: {error!r}") from error
            time.sleep(self._retry.delay(max(failures, 1), retry_after))

    # Sending

    def _json(self, call: Call) -> Any:
        return json.loads(self._send(call))

    def _send(self, call: Call) -> bytes:
        """Sends until there is an answer that another attempt would not better."""
        headers = dict(call.headers)
        if call.body is not None:
            headers["Content-Type"] = "application/json"
        attempt = 0
        while True:
            attempt += 1
            retry_after = None
            try:
                answer = self._http.request(
                    call.method,
                    call.path,
                    params=call.params,
                    headers=headers,
                    content=call.body,
                )
                if answer.status_code < 400:
                    return answer.content
                error: SessiondError = calls.problem_of(answer.status_code, answer.content)
                retry_after = answer.headers.get("retry-after")
                again = may_send_again(error.status, error.code, call.repeatable)
            except httpx.TransportError as cause:
                error = UnreachableError(f"{self.url}: {cause!r}")
                again = call.repeatable or isinstance(cause, httpx.ConnectError)
            if not again or attempt >= self._retry.attempts:
                raise error
            time.sleep(self._retry.delay(attempt, retry_after))
