"""An agent of google-adk whose model is a script: run as `adk_agent.py URI TEXT`."""

from __future__ import annotations

import asyncio
import sys

from google.adk.agents import LlmAgent
from google.adk.models.base_llm import BaseLlm
from google.adk.models.llm_response import LlmResponse
from google.adk.runners import Runner
from google.genai import types

from sessiond.adk import SessiondSessionService


class Scripted(BaseLlm):
    """Calls the tool once for each turn of the user, and then tells what it was shown."""

    async def generate_content_async(self, llm_request, stream=False):
        contents = llm_request.contents
        parts = [part for it in contents for part in it.parts or []]
        if contents[-1].parts[0].function_response is None:
            call = types.FunctionCall(name="look", args={"word": contents[-1].parts[0].text})
            part = types.Part(function_call=call)
        else:
            calls = sum(part.function_call is not None for part in parts)
            heard = [part.text for it in contents if it.role == "user" for part in it.parts if part.text][-1]
            part = types.Part(text=f"heard: {heard}; contents: {len(contents)}; calls: {calls}")
        yield LlmResponse(content=types.Content(role="model", parts=[part]))


def look(word: str) -> dict:
    """Looks a word up."""
    return {"found": word}


async def main(uri: str, text: str) -> None:
    service = SessiondSessionService(uri)
    if await service.get_session(app_name="demo", user_id="ann", session_id="s1") is None:
        await service.create_session(app_name="demo", user_id="ann", session_id="s1")
    agent = LlmAgent(name="bot", model=Scripted(model="scripted"), tools=[look])
    runner = Runner(app_name="demo", agent=agent, session_service=service)
    message = types.Content(role="user", parts=[types.Part(text=text)])
    async for event in runner.run_async(user_id="ann", session_id="s1", new_message=message):
        if event.is_final_response():
            print(event.content.parts[0].text)
    await service.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
