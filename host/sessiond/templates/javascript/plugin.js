// Looks at events before they are stored. What a hook can do is in wit/, which is the manual;
// index.d.ts says the same in the types of JavaScript.

import { reject, isEditError } from "./sessiond.js";

/** @type {import("sessiond:plugin/before-append@0.1.0").BeforeAppend} */
export const beforeAppend = {
  // Returns the events that go on to the store. An event left out of the list is not stored.
  beforeAppend(_key, events) {
    for (const event of events) {
      for (const part of event.texts()) {
        if (part.text.includes("forbidden")) {
          reject("denied", "Leave out what is forbidden.");
        }
        if (part.text.includes("secret")) {
          try {
            event.setText(part.index, part.text.replaceAll("secret", "[removed]"));
          } catch (error) {
            if (!isEditError(error)) throw error;
            console.error(error.payload.code, error.payload.message);
            reject("denied", "Leave out the secret.");
          }
        }
      }
    }
    console.info("saw", events.length, "events");
    return events;
  },
};
