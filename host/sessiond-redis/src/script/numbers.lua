-- The field '#n' of a session has its numbers, each as a double: 1 revision, 2 sequence of the last
-- entry, 3 of the first that is shown, 4 of the first in the list, 5 time of the last update in
-- microseconds, 6 end in ms or 0, 7 sequence of the last user's turn, 8 events, 9 tokens, 10 turns,
-- 11 ids in the hash of now, 12 how often it was edited, 13 the lowest sequence to rewind to, 14 when
-- it was created in microseconds, 15 to 17 events, tokens and turns that are summarized.
local NUMBERS = '<ddddddddddddddddd'

