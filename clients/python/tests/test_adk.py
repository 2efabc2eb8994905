"""The session service of Google's ADK, with its own types and its own runner."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Daemon
from google.adk.errors.already_exists_error import AlreadyExistsError
from google.adk.errors.session_not_found_error import SessionNotFoundError
from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions, EventCompaction
from google.adk.sessions.base_session_service import GetSessionConfig
from google.genai import types
from readme import blocks

from sessiond import SessiondError
from sessiond.adk import SessiondSessionService


def events() -> list[Event]:
    """One of each kind that an agent writes."""
    say = types.Part
    call = types.FunctionCall(id="c1", name="look", args={"n": 2**60 + 1, "none": None, "f": -0.0})
    result = types.FunctionResponse(id="c1", name="look", response={"list": [1, 1.5, None, "\u0000"]})
    content = types.Content
    return [
        Event(author="user", invocation_id="i", content=content(role="user", parts=[say(text="hi 👩‍🚀")])),
        Event(
            author="bot",
            invocation_id="i",
            branch="root.bot",
            long_running_tool_ids={"c1"},
            content=content(
                role="model",
                parts=[say(text="hm", thought=True, thought_signature=b"\xfb\xff\x00"), say(function_call=call)],
            ),
            custom_metadata={"big": 2**70, "null": None},
        ),
        Event(
            author="bot", invocation_id="i", content=content(role="user", parts=[say(function_response=result)])
        ),
        Event(
            author="bot",
            invocation_id="i",
            content=content(
                role="model", parts=[say(inline_data=types.Blob(mime_type="image/png", data=b"\x00\xfe\xff>?"))]
            ),
            actions=EventActions(
                state_delta={"k": None, "app:tier": "gold", "user:name": "Zoë", "n": 1, "deep": {"a": [None]}},
                artifact_delta={"f": 1},
                escalate=True,
            ),
        ),
        Event(
            author="user",
            invocation_id="i",
            actions=EventActions(
                compaction=EventCompaction(
                    start_timestamp=1.25,
                    end_timestamp=2.5,
                    compacted_content=content(role="model", parts=[say(text="they met")]),
                )
            ),
        ),
        Event(author="bot", invocation_id="i", error_code="E", error_message="no", turn_complete=True),
    ]


def run(daemon: Daemon, test):
    async def whole():
        service = SessiondSessionService(f"sessiond://{daemon.address}")
        try:
            return await test(service)
        finally:
            await service.close()

    return asyncio.run(whole())


def test_events_come_back_equal_r13_r75_r76(daemon, user):
    async def test(service):
        session = await service.create_session(app_name="a", user_id=user, session_id=" s1 ")
        assert session.id == "s1"
        written = events()
        for event in written:
            await service.append_event(session, event)
        read = await service.get_session(app_name="a", user_id=user, session_id="s1")
        assert [it.model_dump() for it in read.events] == [it.model_dump() for it in written]
        assert read.state == session.state
        assert read.state == {"k": None, "app:tier": "gold", "user:name": "Zoë", "n": 1, "deep": {"a": [None]}}
        other = await service.create_session(app_name="a", user_id=user)
        assert other.state == {"app:tier": "gold", "user:name": "Zoë"}
        assert await service.get_user_state(app_name="a", user_id=user) == {"name": "Zoë"}

    run(daemon, test)


def test_reads_lists_and_deletes_r17_r94_r95(daemon, user):
    async def test(service):
        session = await service.create_session(app_name="b", user_id=user, session_id="s1", state={"x": 1})
        with pytest.raises(AlreadyExistsError):
            await service.create_session(app_name="b", user_id=user, session_id="s1")
        assert await service.get_session(app_name="b", user_id=user, session_id="no") is None
        for n in range(5):
            await service.append_event(session, Event(id=f"e{n}", author="bot", timestamp=1000.5 + n))

        async def ids(**config):
            read = await service.get_session(
                app_name="b", user_id=user, session_id="s1", config=GetSessionConfig(**config)
            )
            return [it.id for it in read.events]

        assert await ids() == ["e0", "e1", "e2", "e3", "e4"]
        assert await ids(num_recent_events=2) == ["e3", "e4"]
        assert await ids(num_recent_events=0) == []
        assert await ids(after_timestamp=1002.5) == ["e2", "e3", "e4"]
        assert await ids(after_timestamp=1002.5, num_recent_events=4) == ["e2", "e3", "e4"]
        await service.create_session(app_name="b", user_id=user, session_id="s2")
        listed = (await service.list_sessions(app_name="b", user_id=user)).sessions
        assert [(it.id, it.events) for it in listed] == [("s1", []), ("s2", [])]
        assert listed[0].state == {"x": 1}
        await service.delete_session(app_name="b", user_id=user, session_id="s1")
        await service.delete_session(app_name="b", user_id=user, session_id="s1")
        with pytest.raises(SessionNotFoundError):
            await service.append_event(session, Event(author="bot"))
        await service.create_session(app_name="b", user_id=user, session_id="s1")
        with pytest.raises(Exception, match="created again"):
            await service.append_event(session, Event(author="bot"))

    run(daemon, test)


def test_stale_copies_retries_and_temporary_state_r1_r10_r12(daemon, user):
    async def test(service):
        where = dict(app_name="c", user_id=user, session_id="s1")
        session = await service.create_session(**where)
        other = await service.get_session(**where)
        for _ in range(10):
            await service.append_event(other, Event(author="bot"))
        event = Event(author="bot", actions=EventActions(state_delta={"temp:t": 1, "k": 2}))
        again = event.model_copy(deep=True)
        await service.append_event(session, event)
        await service.append_event(other, again)
        assert session.state == {"temp:t": 1, "k": 2}
        read = await service.get_session(**where)
        assert len(read.events) == 11 and read.state == {"k": 2}
        before = (dict(session.state), len(session.events))
        differs = Event(id=event.id, author="bot", actions=EventActions(state_delta={"temp:t": 9}))
        with pytest.raises(SessiondError) as conflict:
            await service.append_event(session, differs)
        assert conflict.value.code == "id_conflict"
        assert (dict(session.state), len(session.events)) == before
        assert differs.actions.state_delta == {"temp:t": 9}
        partial = Event(author="bot", partial=True)
        assert await service.append_event(session, partial) is partial
        assert len(session.events) == before[1]

    run(daemon, test)


def test_a_runner_goes_on_in_another_process_after_a_restart_r92(tmp_path):
    """A scripted agent, run by google-adk: a tool call, then an answer that has the history."""
    daemon = Daemon(tmp_path)
    script = str(Path(__file__).with_name("adk_agent.py"))
    try:
        say = lambda text: subprocess.run(
            [sys.executable, script, f"sessiond://{daemon.address}", text],
            check=True, capture_output=True, text=True,
        ).stdout.strip()
        assert say("first") == "heard: first; contents: 3; calls: 1"
        daemon.restart()
        assert say("second") == "heard: second; contents: 7; calls: 2"
    finally:
        daemon.end()


def test_the_registration_of_the_readme(daemon, user, tmp_path):
    """services.yaml, as `adk web` reads it."""
    from google.adk.cli.service_registry import get_service_registry, load_services_module

    (yaml,) = blocks("python", "Google ADK", "yaml")
    (tmp_path / "services.yaml").write_text(yaml)
    load_services_module(str(tmp_path))
    service = get_service_registry().create_session_service(
        f"sessiond://{daemon.address}", agents_dir=str(tmp_path)
    )
    assert isinstance(service, SessiondSessionService)
    session = asyncio.run(service.create_session(app_name="c", user_id=user))
    # Another event loop.
    assert asyncio.run(service.get_session(app_name="c", user_id=user, session_id=session.id)).id == session.id
