"""Tests of the words. Run with `python3 -m unittest`."""

import unittest

from moderation import Moderation


class WordsTest(unittest.TestCase):
    def test_whole_words_in_any_case(self) -> None:
        moderation = Moderation({"words": "darn, oh heck\nüble"})
        self.assertEqual(moderation.find("DARN it, darning is no Darn"), ["DARN", "Darn"])
        self.assertEqual(moderation.find("oh heck"), ["oh heck"])
        self.assertEqual(moderation.find("ÜBLE Worte"), ["ÜBLE"])

    def test_masks_have_the_length_of_the_word(self) -> None:
        self.assertEqual(Moderation({"words": "darn"}).mask("well, Darn 😀"), "well, **** 😀")

    def test_without_words_nothing_is_found(self) -> None:
        self.assertEqual(Moderation({}).find("darn"), [])
        self.assertEqual(Moderation({"words": " , ,"}).mask("darn"), "darn")

    def test_words_are_no_patterns(self) -> None:
        self.assertEqual(Moderation({"words": "a.c"}).find("abc a.c"), ["a.c"])

    def test_an_unknown_action_refuses(self) -> None:
        self.assertEqual(Moderation({"action": "aks"}).action, "refuse")


if __name__ == "__main__":
    unittest.main()
