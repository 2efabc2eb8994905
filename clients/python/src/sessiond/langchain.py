"""Chat histories of LangChain, kept in sessiond.

Messages are stored in the shape of chat messages, so that plugins and other frameworks can read them.
What that shape has no place for stands in the member ``langchain``.
"""

from __future__ import annotations

import json
from typing import Any, Sequence

from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.messages import BaseMessage, message_to_dict, messages_from_dict

from ._async import AsyncClient
from ._sync import Client
from .calls import items_of
from .errors import SessiondError
from .types import Item, SessionKey, StoredEvent

_ROLES = {"human": "user", "ai": "assistant", "system": "system", "tool": "tool"}
_TYPES = {role: kind for kind, role in _ROLES.items()} | {"developer": "system"}


class SessiondChatMessageHistory(BaseChatMessageHistory):
    """A chat history over a daemon, blocking and asynchronous.

    The session is created when the first message is added.

    Args:
        session_id: the session.
        user: whose it is; all sessions of a user live together.
        app: the app that it belongs to.
        options: of Client and AsyncClient, such as ``url`` and ``token``.
    """

    def __init__(self, session_id: str, *, user: str, app: str = "langchain", **options: Any):
        self._key = SessionKey(app, user, session_id)
        self._options = options
        self._client = Client(**options)

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    @property
    def messages(self) -> list[BaseMessage]:  # type: ignore[override]
        """All messages, oldest first."""
        try:
            return _messages(self._client.all_events(self._key).get("events", []))
        except SessiondError as error:
            if error.code == "session_not_found":
                return []
            raise

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Adds messages, all or none."""
        if not messages:
            return
        items = _items(messages)
        try:
            self._client.append_items(self._key, items)
        except SessiondError as error:
            if error.code != "session_not_found":
                raise
            app, user, session = self._key
            self._client.create_session(app, user, session, if_exists="return")
            self._client.append_items(self._key, items)

    def clear(self) -> None:
        """Removes all messages."""
        try:
            self._client.clear(self._key)
        except SessiondError as error:
            if error.code != "session_not_found":
                raise

    async def aget_messages(self) -> list[BaseMessage]:
        """All messages, oldest first."""
        async with AsyncClient(**self._options) as client:
            try:
                return _messages((await client.all_events(self._key)).get("events", []))
            except SessiondError as error:
                if error.code == "session_not_found":
                    return []
                raise

    async def aadd_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Adds messages, all or none."""
        if not messages:
            return
        items = _items(messages)
        async with AsyncClient(**self._options) as client:
            try:
                await client.append_items(self._key, items)
            except SessiondError as error:
                if error.code != "session_not_found":
                    raise
                app, user, session = self._key
                await client.create_session(app, user, session, if_exists="return")
                await client.append_items(self._key, items)

    async def aclear(self) -> None:
        """Removes all messages."""
        async with AsyncClient(**self._options) as client:
            try:
                await client.clear(self._key)
            except SessiondError as error:
                if error.code != "session_not_found":
                    raise


def _items(messages: Sequence[BaseMessage]) -> list[Item]:
    return items_of([to_chat(message) for message in messages], "chat")


def _messages(events: Sequence[StoredEvent]) -> list[BaseMessage]:
    return messages_from_dict([from_chat(it["event"]) for it in events if it["dialect"] == "chat"])


def to_chat(message: BaseMessage) -> dict[str, Any]:
    """A message in the shape of a chat message."""
    whole = message_to_dict(message)
    kind, data = whole["type"], dict(whole["data"])
    data.pop("type", None)
    role = data.get("role") if kind == "chat" else None
    chat: dict[str, Any] = {"role": role or _ROLES.get(kind, kind), "content": data.pop("content")}
    if kind == "tool":
        chat["tool_call_id"] = data.pop("tool_call_id")
    calls = data.get("tool_calls")
    if calls and all(it.get("id") and set(it) <= {"name", "args", "id", "type"} for it in calls):
        chat["tool_calls"] = [_call(it) for it in data.pop("tool_calls")]
    chat["langchain"] = {"type": kind, "data": data}
    return chat


def from_chat(chat: dict[str, Any]) -> dict[str, Any]:
    """The message that ``to_chat`` took, or one like what another framework wrote."""
    ours = chat.get("langchain")
    kind = ours["type"] if ours else _TYPES.get(chat.get("role", ""), "chat")
    data: dict[str, Any] = dict(ours["data"]) if ours else {}
    if kind == "chat":
        data.setdefault("role", chat.get("role", "user"))
    content = chat.get("content")
    data["content"] = "" if content is None else content
    if "tool_call_id" in chat:
        data["tool_call_id"] = chat["tool_call_id"]
    if "tool_calls" in chat:
        data["tool_calls"] = [
            {
                "name": it["function"]["name"],
                "args": json.loads(it["function"]["arguments"] or "{}"),
                "id": it["id"],
                "type": "tool_call",
            }
            for it in chat["tool_calls"]
        ]
    return {"type": kind, "data": data}


def _call(call: dict[str, Any]) -> dict[str, Any]:
    arguments = json.dumps(call["args"], ensure_ascii=False, allow_nan=False)
    return {
        "id": call["id"],
        "type": "function",
        "function": {"name": call["name"], "arguments": arguments},
    }
