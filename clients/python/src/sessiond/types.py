"""What the daemon takes and answers, as it stands in its OpenAPI document."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from typing_extensions import NotRequired, TypedDict

Dialect = Literal["trpc", "adk", "chat", "openai"]
State = dict[str, Any]


class SessionKey(NamedTuple):
    """Which session: any text of up to 512 bytes each."""

    app: str
    user: str
    session: str


class Item(TypedDict):
    """An event to append. The client gives it an ``id`` if it has none, and keeps it in retries."""

    event: dict[str, Any]
    id: NotRequired[str]
    dialect: NotRequired[Dialect]
    state_delta: NotRequired[State]


class StoredEvent(TypedDict):
    """An event as it is stored. One that a plugin only shows has no ``seq``."""

    id: str
    time: str
    dialect: str
    event: dict[str, Any]
    seq: NotRequired[int]
    state_delta: NotRequired[State]


class Summary(TypedDict, total=False):
    """A summary of a branch; an empty ``filter_key`` is the whole session."""

    filter_key: str
    text: str
    topics: list[str]
    first_seq: int
    last_seq: int
    unseen: dict[str, int]
    updated_at: str


class Session(TypedDict):
    """A session. Lists have no ``events``, and ``state`` only if asked for."""

    id: str
    generation: int
    revision: int
    last_seq: int
    created_at: str
    updated_at: str
    expires_at: NotRequired[str]
    state: NotRequired[State]
    events: NotRequired[list[StoredEvent]]
    summaries: NotRequired[list[Summary]]
    truncated: NotRequired[bool]


class SessionPage(TypedDict):
    """Sessions, newest first."""

    sessions: list[Session]
    next_page_token: NotRequired[str]


class EventPage(TypedDict):
    """Events, oldest first."""

    events: list[StoredEvent]
    generation: NotRequired[int]
    next_after_seq: NotRequired[int]
    next_before_seq: NotRequired[int]


class TrackPage(TypedDict):
    """Events of a track, oldest first."""

    events: list[dict[str, Any]]
    next_after_seq: NotRequired[int]


class AppendedItem(TypedDict):
    """What became of an item."""

    id: str
    duplicate: bool
    seq: NotRequired[int]
    dropped_by: NotRequired[str]
    partial: NotRequired[bool]


class AppendReply(TypedDict):
    """What became of each item, in order."""

    generation: int
    items: list[AppendedItem]
    revision: NotRequired[int]
    last_seq: NotRequired[int]


class EditReply(TypedDict, total=False):
    """What an edit took out."""

    generation: int
    revision: int
    last_seq: int
    removed: int
    events: list[StoredEvent]


class Lease(TypedDict):
    """The right to write, until a time."""

    lease: str
    holder: str
    expires_at: str


class WatchFrame(NamedTuple):
    """Something that happened: ``kind`` is ``snapshot``, ``append``, ``state``, ``summary``, ``reset``..."""

    kind: str
    cursor: str | None
    data: dict[str, Any]
