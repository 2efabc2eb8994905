// Shows a reader the newest turns of the conversation and leaves out what came before.

import { purpose } from "sessiond:plugin/call@0.1.0";
import { log } from "sessiond:plugin/log@0.1.0";

/** How many turns of the user are shown. */
const TURNS = 4;

/**
 * How many events are asked for at a time. Each of them is a handle that the host keeps for us,
 * and most readers find their four turns on the first page.
 */
const PAGE = 100;

export const afterGet = {
  afterGet(_key, session) {
    // A summary is of what readers do not see any more.
    if (purpose() === "summary") {
      return;
    }
    const first = firstShown(session);
    if (first === null) {
      return;
    }
    const count = session.dropBefore(first);
    log("debug", `left out ${count} events before sequence ${first}`);
  },
};

/**
 * The sequence of the event that begins the oldest turn to be shown, or null if there are fewer
 * turns than that and everything is shown.
 */
function firstShown(session) {
  let turns = 0;
  for (let end = session.eventCount(); end > 0; end -= PAGE) {
    const start = Math.max(0, end - PAGE);
    for (const event of session.events(start, end - start).reverse()) {
      const sequence = beginsTurn(event);
      if (sequence !== null && ++turns === TURNS) {
        return sequence;
      }
    }
  }
  return null;
}

/**
 * The sequence of an event that begins a turn, or null. An event that another plugin put into the
 * reply has no sequence: it is no turn of the history, and there is nothing to cut at.
 */
function beginsTurn(event) {
  return event.isUserTurn() ? event.sequence() : null;
}
