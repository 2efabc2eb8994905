"""python3 -m unittest, in this folder."""

import unittest

from rolling_summary import (
    MAX_BYTES,
    MAX_TOPICS,
    Turn,
    cap,
    carry_on,
    first_sentence,
    gap_line,
    topics,
)


def line(number: int) -> str:
    turn = Turn(asker="ann", question=f"What is the price of flight number {number}?", answer=f"It costs {number} euros.")
    return turn.line()


class FirstSentence(unittest.TestCase):
    def test_ends_where_the_sentence_ends(self):
        self.assertEqual(first_sentence("Find a flight to Oslo. By Friday."), "Find a flight to Oslo.")
        self.assertEqual(first_sentence("Which flights go to Oslo? Today!"), "Which flights go to Oslo?")
        self.assertEqual(first_sentence("请帮我查一下下周五从北京飞往上海的所有航班。谢谢！"), "请帮我查一下下周五从北京飞往上海的所有航班。")

    def test_takes_more_when_the_first_says_little(self):
        self.assertEqual(first_sentence("Hi! Any flights to Oslo? Thanks."), "Hi! Any flights to Oslo?")

    def test_is_all_when_there_is_no_end(self):
        self.assertEqual(first_sentence("flights to oslo"), "flights to oslo")
        self.assertEqual(first_sentence(""), "")

    def test_does_not_end_inside_of_words_and_numbers(self):
        self.assertEqual(first_sentence("Open www.example.com for 12.50 euros. Now."), "Open www.example.com for 12.50 euros.")

    def test_is_one_line(self):
        self.assertEqual(first_sentence("Find\n\n  a\tflight\u2028to Oslo"), "Find a flight to Oslo")


class Cap(unittest.TestCase):
    def test_leaves_short_texts(self):
        self.assertEqual(cap("Oslo", 4), "Oslo")

    def test_cuts_between_words(self):
        self.assertEqual(cap("flights from Berlin to Oslo", 22), "flights from Berlin…")

    def test_cuts_inside_of_long_words(self):
        self.assertEqual(cap("a" * 50, 10), "a" * 9 + "…")
        self.assertEqual(cap("航" * 50, 10), "航" * 9 + "…")


class Line(unittest.TestCase):
    def test_tells_who_asked_what_tools_were_called_and_the_answer(self):
        asked = Turn(asker="ann", question="Find me a flight to Oslo. By Friday.", answer="There is one at nine. Shall I book it?")
        for tool in ("search_flights", "get_price", "search_flights"):
            asked.call(tool)
        self.assertEqual(
            asked.line(),
            "- ann: Find me a flight to Oslo. [search_flights x2, get_price] -> There is one at nine.",
        )

    def test_leaves_out_what_there_is_not(self):
        self.assertEqual(Turn(asker="ann", question="Find me a flight.").line(), "- ann: Find me a flight.")
        self.assertEqual(Turn(asker="ann", answer="What do you mean?").line(), "- ann: -> What do you mean?")
        self.assertEqual(Turn().line(), "")

    def test_marks_what_goes_on_with_an_earlier_turn(self):
        self.assertEqual(Turn(answer="It is booked.").line(), "- (continued) -> It is booked.")

    def test_names_some_tools_and_counts_the_rest(self):
        asked = Turn(asker="ann")
        for number in range(8):
            asked.call(f"tool_{number}")
        self.assertEqual(asked.line(), "- ann: [tool_0, tool_1, tool_2, tool_3, tool_4, 3 more]")

    def test_is_capped(self):
        asked = Turn(asker="😀" * 999, question="😀" * 9999, answer="😀" * 9999)
        for number in range(99):
            asked.call(f"{number}" + "😀" * 999)
        self.assertLess(len(asked.line().encode()), MAX_BYTES - 100)
        self.assertNotIn("\n", asked.line())


class CarryOn(unittest.TestCase):
    def test_begins_with_nothing(self):
        self.assertEqual(carry_on("", []), "")
        self.assertEqual(carry_on("", [line(1)]), line(1))

    def test_adds_lines_to_the_previous_summary(self):
        first = carry_on("", [line(1), line(2)])
        self.assertEqual(carry_on(first, [line(3)]), "\n".join(line(n) for n in (1, 2, 3)))

    def test_keeps_the_previous_summary_when_nothing_happened(self):
        first = carry_on("", [line(1)])
        self.assertEqual(carry_on(first, []), first)
        self.assertEqual(carry_on(first, [Turn().line()]), first)

    def test_keeps_what_another_summarizer_wrote(self):
        self.assertEqual(carry_on("They spoke of Oslo.\n", [line(1)]), "They spoke of Oslo.\n" + line(1))

    def test_is_bounded_and_tells_how_many_lines_went(self):
        summary = ""
        for number in range(1000):
            summary = carry_on(summary, [line(number)])
            self.assertLessEqual(len(summary.encode()), MAX_BYTES)
        lines = summary.split("\n")
        self.assertEqual(lines[0], f"({1000 - (len(lines) - 1)} earlier lines left out)")
        self.assertEqual(lines[-1], line(999))
        self.assertGreater(len(summary.encode()), MAX_BYTES - 200)

    def test_does_not_depend_on_how_the_turns_were_split_into_jobs(self):
        at_once = carry_on("", [line(n) for n in range(200)])
        one_by_one = ""
        for n in range(200):
            one_by_one = carry_on(one_by_one, [line(n)])
        self.assertEqual(at_once, one_by_one)

    def test_tells_of_events_that_nobody_saw(self):
        self.assertEqual(carry_on("", [gap_line(5, 9), line(1)]), "(nothing is known of events 5 to 9)\n" + line(1))

    def test_leaves_out_a_line_that_is_too_long(self):
        self.assertEqual(carry_on("x" * 9999, []), "(1 earlier line left out)\n")
        self.assertEqual(carry_on("x" * 9999, [line(1)]), "(1 earlier line left out)\n" + line(1))


class Topics(unittest.TestCase):
    def test_are_the_words_of_the_most_lines(self):
        asked = [
            "Please book the hotel in Oslo for us.",
            "Is breakfast part of the hotel price?",
            "Then book breakfast, breakfast and more breakfast at the hotel.",
        ]
        summary = carry_on("", [Turn(asker="hotelier", question=text).line() for text in asked])
        self.assertEqual(topics(summary)[:3], ["hotel", "book", "breakfast"])
        self.assertNotIn("hotelier", topics(summary))

    def test_leave_out_common_and_short_words_and_numbers(self):
        self.assertEqual(topics("- ann: What would you like with 12345 tea?"), [])

    def test_are_few_and_in_a_fixed_order(self):
        summary = "- ann: alpha bravo charlie delta echo foxtrot golf hotel"
        self.assertEqual(topics(summary), ["alpha", "bravo", "charlie", "delta", "echo", "foxtrot"][:MAX_TOPICS])

    def test_of_nothing_are_none(self):
        self.assertEqual(topics(""), [])
        self.assertEqual(topics("(3 earlier lines left out)\n(nothing is known of events 5 to 9)"), [])
        self.assertEqual(topics("- (continued) -> "), [])

    def test_fit_what_the_host_allows(self):
        for topic in topics("- ann: " + "ж" * 999 + " " + "航" * 999):
            self.assertLessEqual(len(topic.encode()), 256)


if __name__ == "__main__":
    unittest.main()
