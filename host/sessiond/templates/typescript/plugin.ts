// Looks at events before they are stored. What a hook can do is in wit/, which is the manual;
// index.d.ts says the same in types.

import type { BeforeAppend } from "sessiond:plugin/before-append@0.1.0";
import type { Event } from "sessiond:plugin/types@0.1.0";
import { isEditError, reject } from "./sessiond.js";

export const beforeAppend: BeforeAppend = {
  // Returns the events that go on to the store. An event left out is not stored.
  beforeAppend(_key, events) {
    for (const event of events) {
      for (const part of event.texts()) {
        if (part.text.includes("forbidden")) {
          reject("denied", "Leave out what is forbidden.");
        }
        if (part.text.includes("secret")) {
          replace(event, part.index, part.text.replaceAll("secret", "[removed]"));
        }
      }
    }
    console.info("saw", events.length, "events");
    return events;
  },
};

function replace(event: Event, index: number, text: string): void {
  try {
    event.setText(index, text);
  } catch (error) {
    if (!isEditError(error)) throw error;
    console.error(error.payload.code, error.payload.message);
    reject("denied", "Leave out the secret.");
  }
}
