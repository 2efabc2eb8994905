"""Looks at events before they are stored. What a hook can do is in wit/, which is the manual."""

from typing import List, NoReturn

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import log
from wit_world.imports.types import EditError, Event, Rejection_Denied, SessionKey


class BeforeAppend(exports.BeforeAppend):
    def before_append(self, key: SessionKey, events: List[Event]) -> List[Event]:
        """Returns the events that go on to the store. An event left out is not stored."""
        for event in events:
            for part in event.texts():
                if "forbidden" in part.text:
                    reject("Leave out what is forbidden.")
                if "secret" in part.text:
                    replace(event, part.index, part.text.replace("secret", "[removed]"))
        log.log(log.Level.INFO, f"saw {len(events)} events")
        return events


def replace(event: Event, index: int, text: str) -> None:
    try:
        event.set_text(index, text)
    except Err as error:
        refusal: EditError = error.value
        log.log(log.Level.ERROR, f"{refusal.code}: {refusal.message}")
        reject("Leave out the secret.")


def reject(text: str) -> NoReturn:
    """Refuses the request; the text goes to the client. There are Rejection_Invalid and
    Rejection_Unavailable too. Any other exception is a fault of the plugin: it stops the instance
    and shows in the daemon's log."""
    raise Err(Rejection_Denied(text))
