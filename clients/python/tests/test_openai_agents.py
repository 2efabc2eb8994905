"""The session of the OpenAI Agents SDK, with its own types and its own runner."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import model_server
from agents.memory.session import Session
from agents.memory.session_settings import SessionSettings
from conftest import Daemon
from openai.types.responses import ResponseFunctionToolCall
from test_client import HARD

from sessiond.openai_agents import SessiondSession


def items():
    return [
        {"role": "user", "content": "hi \u0000 👩‍🚀"},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA-_8="},
        {"type": "function_call", "call_id": "c1", "id": "fc_1", "name": "f", "arguments": '{"n":1e3}'},
        {"type": "function_call_output", "call_id": "c1", "output": [{"type": "input_text", "text": "ok"}]},
        {"role": "user", "content": [{"type": "input_image", "image_url": "data:;base64,AA=="}], **HARD},
        {"type": "compaction", "id": "cmp_1", "encrypted_content": "gAAA-_8="},
        {"type": "message", "id": "same", "role": "assistant", "content": [], "status": None},
        {"type": "message", "id": "same", "role": "assistant", "content": [], "status": None},
    ]


def test_items_come_back_equal_r13_r14_r75_r76(daemon, user):
    async def run():
        session = SessiondSession("s1", user=user, url=daemon.url)
        assert isinstance(session, Session)
        assert await session.get_items() == [] and await session.pop_item() is None
        await session.clear_session()
        await session.add_items([])
        await session.add_items(items())
        assert await session.get_items() == items()
        assert await session.get_items(limit=3) == items()[-3:]
        assert await session.get_items(limit=0) == []
        assert await session.pop_item() == items()[-1]
        assert await session.get_items() == items()[:-1]
        short = SessiondSession(
            "s1", user=user, url=daemon.url, session_settings=SessionSettings(limit=2)
        )
        assert await short.get_items() == items()[5:7]
        await session.clear_session()
        assert await session.get_items() == []
        call = ResponseFunctionToolCall(call_id="c", name="f", arguments="{}", type="function_call")
        await session.add_items([call])
        assert await session.get_items() == [
            {"call_id": "c", "name": "f", "arguments": "{}", "type": "function_call"}
        ]
        await session.close()
        await short.close()

    asyncio.run(run())


def test_concurrent_writers_lose_nothing_r9(daemon, user):
    async def run():
        session = SessiondSession("s1", user=user, url=daemon.url)
        add = lambda n: session.add_items([{"role": "user", "content": str(n)}])
        await asyncio.gather(*(add(n) for n in range(50)))
        read = {it["content"] for it in await session.get_items()}
        await session.close()
        return read

    assert asyncio.run(run()) == {str(n) for n in range(50)}


def test_a_runner_goes_on_in_another_process_after_a_restart_r92(tmp_path):
    daemon, model = Daemon(tmp_path), model_server.start()
    script = str(Path(__file__).with_name("openai_agent.py"))

    def say(text: str) -> str:
        command = [sys.executable, script, daemon.url, f"http://127.0.0.1:{model.server_port}/v1", text]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    try:
        assert say("first") == "items: 3; calls: 1"
        daemon.restart()
        assert say("second") == "items: 7; calls: 2"
    finally:
        model.shutdown()
        daemon.end()
