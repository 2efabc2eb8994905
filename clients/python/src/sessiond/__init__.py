"""A client of sessiond, the daemon that keeps the sessions of AI agents.

Adapters are modules of their own, so that each needs its own framework only:
``sessiond.adk``, ``sessiond.openai_agents``, ``sessiond.langchain``, ``sessiond.agent_framework``.
"""

from ._async import AsyncClient
from ._sync import Client
from .errors import SessiondError, UnreachableError
from .retry import Retry
from .types import (
    AppendReply,
    EditReply,
    EventPage,
    Item,
    Lease,
    Session,
    SessionKey,
    SessionPage,
    StoredEvent,
    Summary,
    TrackPage,
    WatchFrame,
)

__all__ = [
    "AppendReply",
    "AsyncClient",
    "Client",
    "EditReply",
    "EventPage",
    "Item",
    "Lease",
    "Retry",
    "Session",
    "SessionKey",
    "SessionPage",
    "SessiondError",
    "StoredEvent",
    "Summary",
    "TrackPage",
    "UnreachableError",
    "WatchFrame",
]
