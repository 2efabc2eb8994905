"""Finds listed words in a text. Knows nothing of plugins, so it is tested as it is."""

import re
from typing import Dict, List

ACTIONS = ("refuse", "mask", "report")


class Moderation:
    """The settings: `words`, a list with commas or line breaks, and `action`."""

    def __init__(self, settings: Dict[str, str]) -> None:
        self.action = settings.get("action", "refuse")
        if self.action not in ACTIONS:
            # A guard that is set up wrongly must not let all through.
            self.action = "refuse"
        words = [word.strip() for word in re.split(r"[,\n]", settings.get("words", ""))]
        words = sorted({word.casefold() for word in words if word}, key=len, reverse=True)
        pattern = "|".join(re.escape(word) for word in words)
        # Whole words: "ass" is not in "class". \w knows the letters of all scripts.
        self._pattern = re.compile(rf"(?<!\w)(?:{pattern})(?!\w)", re.IGNORECASE) if words else None

    def find(self, text: str) -> List[str]:
        """The listed words in a text, as they stand there."""
        return self._pattern.findall(text) if self._pattern else []

    def mask(self, text: str) -> str:
        """The text with stars in the place of listed words."""
        return self._pattern.sub(lambda it: "*" * len(it[0]), text) if self._pattern else text
