"""A summary that grows by a line for each turn of the user, and forgets its oldest lines.

Nothing here knows of sessiond: `plugin.py` reads the events, and `test_rolling_summary.py` tests
this file with a plain python3. The same input gives the same bytes, in any process.
"""

import re
from dataclasses import dataclass, field
from typing import Dict, List

MAX_BYTES = 4096
"""What a summary may measure in UTF-8. The caps below let no line come near it."""

MAX_NAME = 40
MAX_QUESTION = 160
MAX_ANSWER = 200
MAX_TOOLS = 5
MAX_TOPICS = 6

SENTENCE = 20
"""A sentence that is shorter says little ("Hi!"), and the next one is taken with it."""

LEFT_OUT = re.compile(r"\((\d{1,9}) earlier lines? left out\)")

SENTENCE_END = re.compile(r"[.!?](?=\s|$)|[。！？]")

ASKER = re.compile(r"- (?:\(continued\)|[^:]{1,40}:) ")

LETTER = r"[^\W\d_]"
WORD = re.compile(rf"(?<!{LETTER}){LETTER}{{4,24}}(?!{LETTER})")

COMMON_WORDS = frozenset(
    """
    about actually after again also always another anything around back because been before being
    below between both cannot come could does doing done down each else even every find first from
    gave give going good have hello help here into just keep know last like list little look made
    make many maybe more most much must need never next nothing okay once only other over please
    said same should show since some something still such sure take tell than thank thanks that
    their them then there these they thing this those through time today together under until used
    using very want well went were what when where whether which while will with without would
    year your
    """.split()
)


@dataclass
class Turn:
    """What became of one question: who asked it, which tools were called, the last answer."""

    asker: str = ""
    """Empty for what goes on with a turn that the previous summary has."""
    question: str = ""
    tools: Dict[str, int] = field(default_factory=dict)
    answer: str = ""

    def call(self, tool: str) -> None:
        self.tools[tool] = self.tools.get(tool, 0) + 1

    def line(self) -> str:
        """The turn in a line, or nothing if nothing happened in it."""
        if not (self.asker or self.tools or self.answer):
            return ""
        words = [f"{cap(self.asker, MAX_NAME)}:" if self.asker else "(continued)"]
        if self.question:
            words.append(cap(first_sentence(self.question), MAX_QUESTION))
        if self.tools:
            names = [
                cap(name, MAX_NAME) + (f" x{count}" if count > 1 else "")
                for name, count in list(self.tools.items())[:MAX_TOOLS]
            ]
            if len(self.tools) > MAX_TOOLS:
                names.append(f"{len(self.tools) - MAX_TOOLS} more")
            words.append(f"[{', '.join(names)}]")
        if self.answer:
            words.append(f"-> {cap(first_sentence(self.answer), MAX_ANSWER)}")
        return f"- {' '.join(words)}"


def gap_line(first: int, last: int) -> str:
    """Says that events went before a summary could be made of them."""
    return f"(nothing is known of events {first} to {last})"


def carry_on(previous: str, more: List[str]) -> str:
    """The previous summary with more lines, and without its oldest ones if it would be too long.
    What its first line says of lines left out before is added up."""
    lines = [line for line in previous.split("\n") if line.strip()]
    left_out = 0
    if lines and (match := LEFT_OUT.fullmatch(lines[0])):
        left_out = int(match[1])
        del lines[0]
    lines += [line for line in more if line]
    sizes = [len(line.encode()) + 1 for line in lines]
    size = sum(sizes)
    first = 0
    while size + len(heading(left_out + first)) > MAX_BYTES:
        size -= sizes[first]
        first += 1
    return heading(left_out + first) + "\n".join(lines[first:])


def heading(left_out: int) -> str:
    if left_out == 0:
        return ""
    return f"({left_out} earlier {'line' if left_out == 1 else 'lines'} left out)\n"


def topics(summary: str) -> List[str]:
    """The words that come up in the most lines, and of two such words the one that came first.

    They are taken from the summary, so a subject stays as long as the lines that speak of it."""
    lines: Dict[str, int] = {}
    for line in summary.split("\n"):
        # Lines in parentheses speak of the summary itself.
        if line.startswith("("):
            continue
        # Who asked is no topic.
        asker = ASKER.match(line)
        said = line[asker.end() :] if asker else line
        # A dict, not a set: its order is the order of the text.
        for word in dict.fromkeys(WORD.findall(said.lower())):
            if word not in COMMON_WORDS:
                lines[word] = lines.get(word, 0) + 1
    # A stable sort: words of equal weight stay in the order in which they came.
    return sorted(lines, key=lambda word: -lines[word])[:MAX_TOPICS]


def first_sentence(text: str) -> str:
    """The first sentence that says something, with what stands before it, on one line."""
    text = " ".join(text.split())
    for match in SENTENCE_END.finditer(text):
        if match.end() >= SENTENCE:
            return text[: match.end()]
    return text


def cap(text: str, length: int) -> str:
    """The text on one line and of so many characters at most, cut between words if possible."""
    text = " ".join(text.split())
    if len(text) <= length:
        return text
    head = text[: length - 1]
    space = head.rfind(" ")
    # Scripts without spaces and very long words are cut where it must be.
    return (head[:space] if space > length // 2 else head) + "…"
