// Hides from a reader what tools were asked and what they answered: the events stay, and say how
// long the payload was.

import { log } from "sessiond:plugin/log@0.1.0";
import type { AfterGet } from "sessiond:plugin/after-get@0.1.0";
import type { Event, TextPart } from "sessiond:plugin/types@0.1.0";

/** How many events are asked for at a time: each is a handle that the host keeps for us. */
const PAGE = 100;

export const afterGet: AfterGet = {
  afterGet(_key, session) {
    let hidden = 0;
    const count = session.eventCount();
    for (let start = 0; start < count; start += PAGE) {
      for (const event of session.events(start, PAGE)) {
        hidden += hide(event);
      }
    }
    if (hidden > 0) log("debug", `hid ${hidden} payloads`);
  },
};

/** Hides the payloads of an event, and answers how many there were. */
function hide(event: Event): number {
  const payloads = event.texts().filter(isPayload);
  for (const part of payloads) {
    const note = `hidden: ${[...part.text].length} characters`;
    if (!set(event, part, note) && !set(event, part, JSON.stringify({ hidden: note }))) {
      // A reader must not see what could not be hidden.
      throw { tag: "unavailable", val: "A payload of a tool could not be hidden." };
    }
  }
  return payloads.length;
}

function isPayload(part: TextPart): boolean {
  return part.kind === "tool-arguments" || part.kind === "tool-result";
}

/** Whether the host took a text. What the client sent as JSON must stay JSON. */
function set(event: Event, part: TextPart, text: string): boolean {
  try {
    event.setText(part.index, text);
    return true;
  } catch (error) {
    if (error instanceof Error && "payload" in error) return false;
    throw error;
  }
}
