"""Sessions of the OpenAI Agents SDK, kept in sessiond."""

from __future__ import annotations

import uuid
from typing import Any, Optional, cast

from agents.items import TResponseInputItem
from agents.memory.session import SessionABC
from agents.memory.session_settings import SessionSettings, resolve_session_limit

from ._async import AsyncClient
from .errors import SessiondError
from .types import Item, SessionKey, StoredEvent


class SessiondSession(SessionABC):
    """A ``Session`` over a daemon: every item comes back as it was added.

    The session is created when the first item is added.

    Args:
        session_id: the session.
        user: whose it is; all sessions of a user live together.
        app: the app that it belongs to.
        client: a client to share; else one is made of ``options``, as AsyncClient takes them.
        session_settings: the SDK's; ``limit`` is for reads without one.
    """

    def __init__(
        self,
        session_id: str,
        *,
        user: str,
        app: str = "agents",
        client: AsyncClient | None = None,
        session_settings: SessionSettings | None = None,
        **options: Any,
    ):
        self.session_id = session_id
        self.session_settings = session_settings or SessionSettings()
        self._key = SessionKey(app, user, session_id)
        self._own = client is None
        self._client = client or AsyncClient(**options)

    async def close(self) -> None:
        """Closes the connections, unless the client is shared."""
        if self._own:
            await self._client.close()

    async def get_items(self, limit: Optional[int] = None) -> list[TResponseInputItem]:
        limit = resolve_session_limit(limit, self.session_settings)
        if limit is not None and limit <= 0:
            return []
        try:
            if limit is None or limit > 10_000:
                events = (await self._client.all_events(self._key)).get("events", [])
            else:
                read = await self._client.get_session(self._key, limit=limit, window="exact")
                events = read.get("events", [])
        except SessiondError as error:
            if error.code == "session_not_found":
                return []
            raise
        items = [cast(TResponseInputItem, _item(it)) for it in events]
        return items if limit is None else items[-limit:]

    async def add_items(self, items: list[TResponseInputItem]) -> None:
        if not items:
            return
        batch = [
            Item(id=str(uuid.uuid4()), dialect="openai", event=_plain(item)) for item in items
        ]
        try:
            await self._client.append_items(self._key, batch)
        except SessiondError as error:
            if error.code != "session_not_found":
                raise
            app, user, session = self._key
            await self._client.create_session(app, user, session, if_exists="return")
            await self._client.append_items(self._key, batch)

    async def pop_item(self) -> TResponseInputItem | None:
        try:
            popped = (await self._client.pop(self._key)).get("events", [])
        except SessiondError as error:
            if error.code == "session_not_found":
                return None
            raise
        return cast(TResponseInputItem, _item(popped[-1])) if popped else None

    async def clear_session(self) -> None:
        try:
            await self._client.clear(self._key)
        except SessiondError as error:
            if error.code != "session_not_found":
                raise


def _plain(item: Any) -> dict[str, Any]:
    """Items may be models of the openai package."""
    if hasattr(item, "model_dump"):
        return cast(dict[str, Any], item.model_dump(mode="json", exclude_unset=True))
    return dict(item)


def _item(stored: StoredEvent) -> dict[str, Any]:
    return stored["event"]
