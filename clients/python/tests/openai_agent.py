"""An agent of the OpenAI Agents SDK: run as `openai_agent.py DAEMON MODEL TEXT`."""

from __future__ import annotations

import asyncio
import sys

from agents import Agent, OpenAIResponsesModel, Runner, function_tool, set_tracing_disabled
from openai import AsyncOpenAI

from sessiond.openai_agents import SessiondSession


@function_tool
def look(word: str) -> str:
    """Looks a word up."""
    return f"found {word}"


async def main(daemon: str, model: str, text: str) -> None:
    set_tracing_disabled(True)
    client = AsyncOpenAI(base_url=model, api_key="none")
    agent = Agent("bot", tools=[look], model=OpenAIResponsesModel("scripted", client))
    session = SessiondSession("s1", user="ann", url=daemon)
    print((await Runner.run(agent, text, session=session)).final_output)
    await session.close()


asyncio.run(main(*sys.argv[1:]))
