// Runs behind chat.js, in the same component: the keys that keys.py lists. A key pressed in a text box is text; only Esc,
// which no text has, stops an answer from there too. Whoever works with single keys of their own can turn these off.
const KEYS_OFF = "docduet-keys-off";
const BOX = "#dd-box textarea";
const help = () => document.querySelector("#dd-help");
const writing = (target) => target.closest?.("input:not([type=radio]):not([type=checkbox]), textarea, select, [contenteditable]");
const last = (selector) => Array.from(root.querySelectorAll(selector)).at(-1);

const KEYS = {
  "/": () => document.querySelector(BOX)?.focus(),
  "?": openHelp,
  n: () => document.querySelector("#dd-new")?.click(),
  c: () => last("[data-copy=answer]")?.click(),
  r: () => last("[data-again]")?.click(),
  e: () => last("[data-edit]")?.click(),
};

function openHelp() {
  help().querySelector("[data-keys]").checked = !localStorage.getItem(KEYS_OFF);
  help().showModal();
}

document.addEventListener("keydown", (event) => {
  if (document.body.dataset.panel !== "chat" || event.isComposing || event.keyCode === 229) return;
  if (document.querySelector("dialog[open], .dd-menu:popover-open")) return; // theirs
  if (event.key === "Escape" && !event.defaultPrevented) {
    document.querySelector("#dd-box .stop-button")?.click();
    return;
  }
  const act = !event.ctrlKey && !event.metaKey && !event.altKey && KEYS[event.key];
  if (!act || writing(event.target) || localStorage.getItem(KEYS_OFF)) return;
  event.preventDefault();
  act();
});

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-help]")) openHelp();
  else if (event.target.closest("[data-close]") || event.target === help()) help()?.close();
});

document.addEventListener("change", (event) => {
  if (!event.target.matches("[data-keys]")) return;
  if (event.target.checked) localStorage.removeItem(KEYS_OFF);
  else localStorage.setItem(KEYS_OFF, "1");
});
