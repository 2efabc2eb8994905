"""Holds the routes under /apps against google-adk itself: its models read what the daemon answers, and
the same steps on its in-memory service come to the same session.

Usage: compare.py BASE, where BASE is such as http://127.0.0.1:7717.
"""

import asyncio
import json
import sys
import urllib.error
import urllib.request

from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from google.adk.sessions.in_memory_session_service import InMemorySessionService
from google.adk.sessions.session import Session
from google.genai import types

BASE = sys.argv[1]
SESSIONS = "/apps/hello/users/u1/sessions"


def ask(method, path, body=None):
    data = None if body is None else (body if isinstance(body, bytes) else json.dumps(body).encode())
    request = urllib.request.Request(BASE + path, data=data, method=method)
    request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


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


async def main():
    service = InMemorySessionService()
    state = {"locale": "en", "app:a": 1, "user:u": [1, 2]}
    keys = {"app_name": "hello", "user_id": "u1", "session_id": "s1"}
    theirs = await service.create_session(**keys, state=dict(state))
    status, answer = ask("POST", SESSIONS, {"sessionId": "s1", "state": state})
    assert status == 200, answer
    assert dumped(Session.model_validate(answer)) == dumped(theirs), answer
    for event in events():
        body = event.model_dump_json(by_alias=True, exclude_none=True).encode()
        await service.append_event(theirs, event)
        status, answer = ask("POST", f"{SESSIONS}/s1/events", body)
        assert status == 200, answer
        known = {field.alias or name for name, field in Event.model_fields.items()}
        assert set(answer) <= known, set(answer) - known
        Event.model_validate(answer)
    for query, config in [("", {}), ("?numRecentEvents=2", {"num_recent_events": 2})]:
        from google.adk.sessions.base_session_service import GetSessionConfig

        theirs = await service.get_session(**keys, config=GetSessionConfig(**config))
        status, answer = ask("GET", f"{SESSIONS}/s1{query}")
        assert status == 200, answer
        assert dumped(Session.model_validate(answer)) == dumped(theirs), json.dumps(
            [dumped(Session.model_validate(answer)), dumped(theirs)], indent=1
        )
    status, answer = ask("GET", SESSIONS)
    listed = await service.list_sessions(app_name="hello", user_id="u1")
    ours = [dumped(Session.model_validate(session)) for session in answer]
    assert ours == [dumped(session) for session in listed.sessions], (ours, listed)
    status, answer = ask("PATCH", f"{SESSIONS}/s1", {"stateDelta": {"locale": "de"}})
    assert status == 200 and Session.model_validate(answer).state["locale"] == "de", answer
    assert ask("POST", SESSIONS, {"sessionId": "s1"}) == (
        409, {"detail": "Session already exists: s1"}
    )
    assert ask("DELETE", f"{SESSIONS}/s1") == (200, None)
    assert ask("DELETE", f"{SESSIONS}/s1") == (200, None)
    assert ask("GET", f"{SESSIONS}/s1") == (404, {"detail": "Session not found"})
    print("google-adk reads all of it, and has the same sessions")


asyncio.run(main())
