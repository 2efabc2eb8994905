"""Writers of one session of OpenAI Agents' RedisSession, each with a connection of its own.

usage: openai_writers.py REDIS_URL SESSION WRITERS APPENDS_OF_EACH

Prints the seconds that all appends took, and how many items are stored in the end.
"""

import asyncio
import sys
import time

from agents.extensions.memory import RedisSession


async def main() -> None:
    url, session_id, writers, each = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    sessions = [RedisSession.from_url(session_id, url=url) for _ in range(writers)]
    for session in sessions:
        await session.ping()

    async def write(writer: int) -> None:
        for number in range(each):
            text = f"event {number} of {writer}"
            await sessions[writer].add_items([{"role": "user", "content": text}])

    begin = time.perf_counter()
    await asyncio.gather(*(write(writer) for writer in range(writers)))
    took = time.perf_counter() - begin
    print(took, len(await sessions[0].get_items()))
    for session in sessions:
        await session.close()


asyncio.run(main())
