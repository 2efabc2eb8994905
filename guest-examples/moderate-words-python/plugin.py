"""The hook: refuses, masks or reports words that the operator has listed. See `moderation.py`."""

from typing import List, NoReturn

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import log, store
from wit_world.imports.types import Event, Rejection_Denied, Rejection_Unavailable, SessionKey

from moderation import Moderation


class BeforeAppend(exports.BeforeAppend):
    def before_append(self, key: SessionKey, events: List[Event]) -> List[Event]:
        moderation = Moderation(dict(store.get_all()))
        for event in events:
            # What tools answer is not for us to judge, and state is no speech.
            if event.kind() == "event" and not event.tool_result_ids():
                moderate(moderation, event)
        return events


def moderate(moderation: Moderation, event: Event) -> None:
    for part in event.texts():
        if part.kind not in ("message", "reasoning"):
            continue
        found = moderation.find(part.text)
        if not found:
            continue
        # The log says what was done, and not what was said.
        log.log(log.Level.WARN, f"{moderation.action}: {len(found)} listed words")
        if moderation.action == "refuse":
            raise Err(Rejection_Denied("The message has words that are not allowed here."))
        if moderation.action == "mask":
            replace(event, part.index, moderation.mask(part.text))


def replace(event: Event, index: int, text: str) -> None:
    try:
        event.set_text(index, text)
    except Err as error:
        log.log(log.Level.ERROR, f"{error.value.code}: {error.value.message}")
        give_up()


def give_up() -> NoReturn:
    raise Err(Rejection_Unavailable("The message could not be moderated."))
