"""The routes under `/apps` held against google-adk itself: its models, which are strict, read what the
daemon answers, and the same steps on its in-memory service come to the same session (R92)."""

from __future__ import annotations

import asyncio
import json

import httpx
from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from google.adk.sessions.base_session_service import GetSessionConfig
from google.adk.sessions.in_memory_session_service import InMemorySessionService
from google.adk.sessions.session import Session
from google.genai import types


def events():
    yield Event(
        invocation_id="i1", author="user",
        content=types.Content(role="user", parts=[types.Part(text="weather in Zürich?")]),
    )
    yield Event(
        invocation_id="i1", author="hello", branch="root.child", turn_complete=False,
        long_running_tool_ids={"c1"},
        content=types.Content(role="model", parts=[
            types.Part(text="thinking", thought=True, thought_signature=b"\x00\xff"),
            types.Part(function_call=types.FunctionCall(id="c1", name="weather", args={"c": "Zürich"})),
        ]),
        usage_metadata=types.GenerateContentResponseUsageMetadata(
            prompt_token_count=3, candidates_token_count=4, total_token_count=7
        ),
        custom_metadata={"k": [1, None, {"deep": 1.5}]},
    )
    yield Event(
        invocation_id="i1", author="hello",
        content=types.Content(role="user", parts=[types.Part(
            function_response=types.FunctionResponse(id="c1", name="weather", response={"t": 21.5})
        )]),
        actions=EventActions(
            state_delta={"n": 1, "app:tier": "gold", "user:name": "Zoë", "temp:x": 1, "empty": None},
            artifact_delta={"a.txt": 1}, skip_summarization=True,
        ),
    )
    yield Event(
        invocation_id="i1", author="hello", error_code="E", error_message="m",
        finish_reason=types.FinishReason.STOP, model_version="m-1", interrupted=True,
        content=types.Content(role="model", parts=[
            types.Part(inline_data=types.Blob(mime_type="image/png", data=b"\x89PNG\xff")),
            types.Part(executable_code=types.ExecutableCode(code="1+1", language="PYTHON")),
        ]),
        actions=EventActions(transfer_to_agent="other", escalate=True, end_of_agent=True),
    )


def dumped(session):
    dump = json.loads(session.model_dump_json(by_alias=True, exclude_none=True))
    dump.pop("lastUpdateTime")
    return dump


def test_google_adk_reads_all_of_it_and_has_the_same_sessions(daemon):
    with httpx.Client(base_url=f"{daemon.url}/apps/hello/users/u1") as client:
        asyncio.run(compare(client))


async def compare(client: httpx.Client) -> None:
    service = InMemorySessionService()
    state = {"locale": "en", "app:a": 1, "user:u": [1, 2]}
    keys = {"app_name": "hello", "user_id": "u1", "session_id": "s1"}
    theirs = await service.create_session(**keys, state=dict(state))
    created = client.post("/sessions", json={"sessionId": "s1", "state": state})
    assert created.status_code == 200, created.text
    assert dumped(Session.model_validate(created.json())) == dumped(theirs)
    known = {field.alias or name for name, field in Event.model_fields.items()}
    for event in events():
        body = event.model_dump_json(by_alias=True, exclude_none=True)
        await service.append_event(theirs, event)
        answer = client.post(
            "/sessions/s1/events", content=body, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == 200, answer.text
        assert set(answer.json()) <= known
        Event.model_validate(answer.json())
    for query, config in [("", {}), ("?numRecentEvents=2", {"num_recent_events": 2})]:
        theirs = await service.get_session(**keys, config=GetSessionConfig(**config))
        answer = client.get(f"/sessions/s1{query}")
        assert answer.status_code == 200, answer.text
        assert dumped(Session.model_validate(answer.json())) == dumped(theirs)
    listed = await service.list_sessions(app_name="hello", user_id="u1")
    ours = [dumped(Session.model_validate(it)) for it in client.get("/sessions").json()]
    assert ours == [dumped(it) for it in listed.sessions]
    patched = client.patch("/sessions/s1", json={"stateDelta": {"locale": "de"}})
    assert Session.model_validate(patched.json()).state["locale"] == "de"
    again = client.post("/sessions", json={"sessionId": "s1"})
    assert (again.status_code, again.json()) == (409, {"detail": "Session already exists: s1"})
    for _ in range(2):
        deleted = client.delete("/sessions/s1")
        assert (deleted.status_code, deleted.json()) == (200, None)
    gone = client.get("/sessions/s1")
    assert (gone.status_code, gone.json()) == (404, {"detail": "Session not found"})
