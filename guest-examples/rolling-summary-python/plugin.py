"""The hook: reads the events of a job and returns the summary. See `rolling_summary.py`."""

from typing import Iterator, List

from wit_world import exports
from wit_world.imports import log
from wit_world.imports.types import Event, Session, SessionKey, Summary, SummaryJob

from rolling_summary import Turn, carry_on, gap_line, topics

PAGE = 100
"""How many events are asked for at a time: each is a handle that the host keeps for us."""


class Summarizer(exports.Summarizer):
    def should_summarize(self, key: SessionKey, session: Session, job: SummaryJob) -> bool:
        return job.user_turns() > 0

    def summarize(self, key: SessionKey, session: Session, job: SummaryJob) -> Summary:
        previous = job.previous()
        lines = [turn.line() for turn in read_turns(session)]
        if gap := job.unseen():
            lines.insert(0, gap_line(*gap))
        text = carry_on(previous.text() if previous else "", lines)
        summary = Summary(text)
        summary.set_topics(topics(text))
        log.log(log.Level.DEBUG, f"{len(text.encode())} bytes up to event {job.last_sequence()}")
        return summary


def read_turns(session: Session) -> List[Turn]:
    """The turns that the session offers. The first goes on with the last of the previous summary,
    and is mostly empty."""
    turns = [Turn()]
    for event in events(session):
        if event.kind() != "event":
            continue
        if event.is_user_turn():
            turns.append(Turn(asker=event.author() or "user", question=message(event)))
        elif is_answer(event):
            read_answer(event, turns[-1])
    return turns


def events(session: Session) -> Iterator[Event]:
    for start in range(0, session.event_count(), PAGE):
        yield from session.events(start, PAGE)


def is_answer(event: Event) -> bool:
    """Whether the assistant speaks or calls a tool. Its role goes by several names, or by none.
    Results of tools are long, and what matters of them is in the answer."""
    others = ("user", "system", "developer", "tool")
    return event.role() not in others and not event.tool_result_ids()


def message(event: Event) -> str:
    return " ".join(part.text for part in event.texts() if part.kind == "message")


def read_answer(event: Event, turn: Turn) -> None:
    said: List[str] = []
    for part in event.texts():
        if part.kind == "message":
            said.append(part.text)
        elif part.kind == "tool-arguments":
            turn.call(part.tool or "a tool")
    if any(text.strip() for text in said):
        turn.answer = " ".join(said)
