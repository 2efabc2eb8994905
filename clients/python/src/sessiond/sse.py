"""Server-Sent Events, as the daemon sends them."""

from __future__ import annotations

import json

from .types import WatchFrame


class Frames:
    """Makes frames of lines. ``cursor`` is where to go on after a broken connection."""

    def __init__(self, cursor: str | None):
        self.cursor = cursor
        self._kind = ""
        self._data: list[str] = []

    def line(self, line: str) -> WatchFrame | None:
        """Takes a line, and gives the frame that it ends, if it does."""
        if line:
            self._field(line)
            return None
        kind, data = self._kind, self._data
        self._kind, self._data = "", []
        if not data:
            return None
        return WatchFrame(kind or "message", self.cursor, json.loads("\n".join(data)))

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "id":
            self.cursor = value
        elif name == "event":
            self._kind = value
        elif name == "data":
            self._data.append(value)
