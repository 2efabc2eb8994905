"""Histories of Microsoft's Agent Framework, kept in sessiond.

Messages are stored in the shape of chat messages, with the framework's contents as ``content``, so
that plugins can read them. What that shape has no place for stands in ``agent_framework``.
"""

from __future__ import annotations

from typing import Any, Sequence

from agent_framework import HistoryProvider, Message

from ._async import AsyncClient
from .calls import items_of
from .errors import SessiondError
from .types import SessionKey


class SessiondHistoryProvider(HistoryProvider):
    """A ``HistoryProvider`` over a daemon: every message comes back as it was.

    The session is created when the first message is saved.

    Args:
        user: whose sessions these are; all sessions of a user live together.
        app: the app that they belong to.
        source_id: the name among the providers of an agent.
        client: a client to share; else one is made of SESSIOND_URL and SESSIOND_TOKEN.
        options: of HistoryProvider, such as ``store_outputs``.
    """

    def __init__(
        self,
        *,
        user: str,
        app: str = "agent-framework",
        source_id: str = "sessiond",
        client: AsyncClient | None = None,
        **options: Any,
    ):
        super().__init__(source_id, **options)
        self._app, self._user = app, user
        self._own = client is None
        self._client = client or AsyncClient()

    async def close(self) -> None:
        """Closes the connections, unless the client is shared."""
        if self._own:
            await self._client.close()

    async def get_messages(
        self, session_id: str | None, *, state: dict[str, Any] | None = None, **kwargs: Any
    ) -> list[Message]:
        try:
            session = await self._client.all_events(self._key(session_id))
        except SessiondError as error:
            if error.code == "session_not_found":
                return []
            raise
        events = session.get("events", [])
        return [_message(it["event"]) for it in events if it["dialect"] == "chat"]

    async def save_messages(
        self,
        session_id: str | None,
        messages: Sequence[Message],
        *,
        state: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if not messages:
            return
        key = self._key(session_id)
        items = items_of([_chat(message) for message in messages], "chat")
        try:
            await self._client.append_items(key, items)
        except SessiondError as error:
            if error.code != "session_not_found":
                raise
            await self._client.create_session(key.app, key.user, key.session, if_exists="return")
            await self._client.append_items(key, items)

    def _key(self, session_id: str | None) -> SessionKey:
        if not session_id:
            raise ValueError("sessiond keeps sessions by id: give the AgentSession a session_id.")
        return SessionKey(self._app, self._user, session_id)


def _chat(message: Message) -> dict[str, Any]:
    rest = message.to_dict(exclude_none=False)
    contents = rest.pop("contents", [])
    chat: dict[str, Any] = {"role": rest.pop("role"), "content": contents, "agent_framework": rest}
    # By these ids the daemon keeps a call and its result together.
    calls = [it["call_id"] for it in contents if it.get("type") == "function_call"]
    results = [it["call_id"] for it in contents if it.get("type") == "function_result"]
    if calls:
        chat["tool_calls"] = [{"id": it} for it in calls]
    if results and not calls:
        chat["tool_call_id"] = results[0]
    return chat


def _message(chat: dict[str, Any]) -> Message:
    content = chat.get("content")
    contents = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
    rest = chat.get("agent_framework", {"type": "message"})
    return Message.from_dict({**rest, "role": chat["role"], "contents": contents})
