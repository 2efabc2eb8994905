"""The chat history of LangChain, with its own types."""

from __future__ import annotations

import asyncio

from langchain_core.messages import (
    AIMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.runnables import RunnableLambda
from langchain_core.runnables.history import RunnableWithMessageHistory

from sessiond import Client, SessionKey
from sessiond.langchain import SessiondChatMessageHistory


def messages():
    return [
        SystemMessage("be kind", id="m0"),
        HumanMessage("hi \u0000 👩‍🚀", name="ann", additional_kwargs={"big": 2**70, "null": None}),
        HumanMessage([{"type": "text", "text": "see"}, {"type": "image", "base64": "AA=="}, "and"]),
        AIMessage(
            "",
            tool_calls=[{"name": "f", "args": {"n": 2**60, "none": None}, "id": "c1", "type": "tool_call"}],
            invalid_tool_calls=[
                {"name": "g", "args": "{bad", "id": None, "error": "x", "type": "invalid_tool_call"}
            ],
            usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
            response_metadata={"logprobs": [-0.0, 1e308]},
        ),
        AIMessage("", tool_calls=[{"name": "f", "args": {}, "id": None, "type": "tool_call"}]),
        ToolMessage("42", tool_call_id="c1", artifact={"raw": [1]}, status="error"),
        ChatMessage("odd", role="critic"),
        FunctionMessage("old", name="f"),
        RemoveMessage(id="m0"),
    ]


def test_messages_come_back_equal_r13_r76(daemon, user):
    history = SessiondChatMessageHistory("s1", user=user, url=daemon.url)
    assert history.messages == []
    history.clear()
    history.add_messages([])
    history.add_messages(messages())
    assert history.messages == messages()
    assert [it.model_dump() for it in history.messages] == [it.model_dump() for it in messages()]
    with Client(daemon.url) as client:
        key = SessionKey("langchain", user, "s1")
        stored = client.all_events(key)["events"][3]["event"]
        assert stored["tool_calls"][0]["id"] == "c1" and stored["role"] == "assistant"
        client.append(key, [{"role": "user", "content": "from elsewhere"}])
    assert history.messages[-1] == HumanMessage("from elsewhere")
    history.clear()
    assert history.messages == []
    history.close()


def test_the_asynchronous_ones(daemon, user):
    async def run():
        history = SessiondChatMessageHistory("s1", user=user, url=daemon.url)
        assert await history.aget_messages() == []
        await history.aadd_messages(messages())
        assert await history.aget_messages() == messages()
        await history.aclear()
        assert await history.aget_messages() == []
        history.close()

    asyncio.run(run())


def test_a_chain_with_history_r92(daemon, user):
    answer = RunnableLambda(lambda given: AIMessage(f"seen {len(given)}"))
    chain = RunnableWithMessageHistory(
        answer, lambda session_id: SessiondChatMessageHistory(session_id, user=user, url=daemon.url)
    )
    config = {"configurable": {"session_id": "s1"}}
    assert chain.invoke([HumanMessage("one")], config=config).content == "seen 1"
    assert chain.invoke([HumanMessage("two")], config=config).content == "seen 3"
