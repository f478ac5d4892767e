// The dialog that asks for the key of a service that wants one.

import { byId } from "./dom.js";

/** Asks for the key; null where the reader declines. */
export function askKey() {
  const dialog = byId("key-dialog");
  byId("key").value = "";
  dialog.showModal();
  byId("key-cancel").onclick = () => dialog.close("cancel");
  byId("key-form").onsubmit = () => dialog.close("go");
  return new Promise((done) => {
    dialog.onclose = () => done(dialog.returnValue === "go" ? byId("key").value.trim() || null : null);
  });
}
