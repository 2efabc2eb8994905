"""How often, and after which time, a request is sent again."""

from __future__ import annotations

import random
from dataclasses import dataclass

_TRANSIENT = {429, 502, 503, 504}
# Said before anything is done, so that even what must not happen twice may be sent again.
_NOTHING_DONE = {"starting", "stopping"}


@dataclass(frozen=True)
class Retry:
    """Bounds of retrying.

    Attributes:
        attempts: how often a request is sent at most, the first time included.
        first_delay: seconds before the second attempt; each further one waits twice as long.
        longest_delay: seconds that no wait goes beyond, whatever the daemon asks for.
    """

    attempts: int = 5
    first_delay: float = 0.1
    longest_delay: float = 2.0

    def delay(self, attempt: int, retry_after: str | None) -> float:
        """Seconds to wait after an attempt, counted from 1. Spread, so that clients part."""
        delay = min(self.first_delay * 2 ** (attempt - 1), self.longest_delay)
        delay *= random.uniform(0.5, 1.0)
        if retry_after is not None and retry_after.isdigit():
            delay = max(delay, float(retry_after))
        return min(delay, self.longest_delay)


def may_send_again(status: int, code: str, repeatable: bool) -> bool:
    """Whether an answer is worth another attempt."""
    if status not in _TRANSIENT:
        return False
    return repeatable or code in _NOTHING_DONE
