"""The history provider of Microsoft's Agent Framework, with its own types and its own agent."""

from __future__ import annotations

import asyncio

import pytest
from agent_framework import Agent, BaseChatClient, ChatResponse, Content, Message

from sessiond import AsyncClient
from sessiond.agent_framework import SessiondHistoryProvider


def messages():
    call = Content.from_function_call(call_id="c1", name="f", arguments='{"n": 1e3}')
    return [
        Message("user", [Content.from_text("hi \u0000 👩‍🚀")], author_name="ann"),
        Message("assistant", [Content.from_text("hm"), call], additional_properties={"big": 2**70}),
        Message("tool", [Content.from_function_result(call_id="c1", result="42")], message_id="m"),
        Message("user", [Content.from_data(b"\x00\xfe\xff", "image/png")]),
    ]


def test_messages_come_back_equal_r13_r76(daemon, user):
    async def run():
        async with AsyncClient(daemon.url) as client:
            provider = SessiondHistoryProvider(user=user, client=client)
            assert await provider.get_messages("s1") == []
            await provider.save_messages("s1", messages())
            read = await provider.get_messages("s1")
            with pytest.raises(ValueError):
                await provider.get_messages(None)
            return read

    assert [it.to_dict() for it in asyncio.run(run())] == [it.to_dict() for it in messages()]


class Scripted(BaseChatClient):
    """Tells how many messages it was shown."""

    def _inner_get_response(self, *, messages, stream=False, options=None, **kwargs):
        async def answer():
            return ChatResponse(messages=[Message("assistant", [f"seen {len(messages)}"])])

        return answer()


def test_an_agent_goes_on_with_another_provider_r92(daemon, user):
    async def say(text):
        async with AsyncClient(daemon.url) as client:
            provider = SessiondHistoryProvider(user=user, client=client)
            agent = Agent(client=Scripted(), context_providers=[provider])
            session = agent.create_session(session_id="s1")
            return (await agent.run(text, session=session)).text

    assert asyncio.run(say("one")) == "seen 1"
    assert asyncio.run(say("two")) == "seen 3"
