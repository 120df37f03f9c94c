// Runs inside the list's gr.HTML component: `element` is its root, `props`, `watch` and `trigger` are Gradio's.
// The server renders the entries; this file puts them on the page under the days they belong to, keeps the page's
// address ("/#chat/ID") and the conversation that is shown in step, and makes search, menu and the two buttons work.
// What the chat shows it learns from the document's event "dd-conversation" (chat.js).
const body = element.querySelector(".dd-side-body");
const search = element.querySelector(".dd-side-search");
const said = element.querySelector(".dd-side-said");
const nav = element.querySelector(".dd-side-entries");
const panel = document.querySelector("#dd-panel-chat");
const side = document.querySelector("#dd-side");
const CLOSED = "docduet-side-closed";
const DAY = 86400000;
const AGAIN_MS = 2000; // an answer that is under way elsewhere is looked at so often
const PATIENCE_MS = 8000; // what has not been opened after this long is asked for again
const STALE_MS = 30000; // coming back to the page after this long, one sees the list anew
let shown = ""; // the conversation on the page, "" for a new one
let settled = ""; // the same, or the one that was asked for and is not there
let opening = null; // the one that was asked for and is not there yet
let answer = ""; // the newest on the page
let listedAt = 0;
let first = true;
let timer = 0;
let typing = 0;
let watching = 0;

const narrow = () => window.matchMedia("(max-width: 900px)").matches;
const words = () => props.value?.words || {};

function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// The address

function addressed() {
  const [name, id] = location.hash.slice(1).split("/");
  try {
    return name === "chat" && id ? decodeURIComponent(id) : "";
  } catch {
    return "";
  }
}

function address(id, how) {
  history[how](null, "", id ? `#chat/${encodeURIComponent(id)}` : "#chat");
  mark();
}

function follow() {
  if (first || (document.body.dataset.panel || "chat") !== "chat") return;
  const wanted = addressed();
  if (wanted === (opening ?? settled)) return;
  open(wanted, "select");
}

function open(id, how) {
  clearTimeout(timer);
  if (how === "select") {
    opening = id;
    panel.classList.add("dd-opening");
    clearTimeout(watching);
    watching = setTimeout(() => opening === id && open(id, "select"), PATIENCE_MS);
  }
  props.value = { ...props.value, wanted: id };
  trigger(how, {});
  mark();
}

// Until there is news: what is the same as before, Gradio does not tell.
function lookAgain(id) {
  timer = setTimeout(() => {
    if (shown !== id) return;
    open(id, "tick");
    lookAgain(id);
  }, AGAIN_MS);
}

document.addEventListener("dd-panel", follow);
document.addEventListener("dd-conversation", ({ detail }) => {
  const before = shown;
  const news = detail.answer && detail.answer !== answer;
  shown = detail.id;
  if (opening === null || detail.opened === opening) settled = detail.opened ?? detail.id;
  answer = detail.answer;
  clearTimeout(timer);
  if (detail.pending) lookAgain(detail.id);
  if (opening !== null) {
    if (detail.opened === undefined) return; // a late piece of what was shown before
    if (detail.opened !== opening) return open(opening, "select");
    opening = null;
    panel.classList.remove("dd-opening");
    mark();
    return follow();
  }
  if (shown !== before && shown !== addressed()) address(shown, before ? "pushState" : "replaceState");
  if (shown && news && detail.opened === undefined) ask({ action: "list", q: search.value.trim() });
});

// The list

function ask(wish) {
  if (!wish.after) listedAt = Date.now();
  trigger("submit", wish);
}

function show() {
  const value = props.value;
  if (!value?.words) return;
  if (opening !== null && value.wanted !== opening) props.value = { ...value, wanted: opening }; // the list was drawn anew
  panel.classList.toggle("dd-no-side", !value.there);
  search.placeholder = value.words.search;
  search.setAttribute("aria-label", value.words.search);
  nav.setAttribute("aria-label", value.words.label);
  toggled();
  if (value !== drawn && value.q === search.value.trim()) draw(value);
  if (first) {
    first = false;
    listedAt = Date.now();
    if (addressed()) follow();
    else panel.classList.remove("dd-opening");
  }
}

let drawn = null;
let drawnHtml = "";
function draw(value) {
  const now = JSON.stringify([value.lang, value.html, value.note, value.after, value.next, value.said]);
  drawn = value;
  said.textContent = value.said || "";
  if (now === drawnHtml) return;
  drawnHtml = now;
  const focused = document.activeElement?.closest?.(".dd-conversation")?.dataset.id;
  const part = document.activeElement?.classList.contains("dd-dots") ? ".dd-dots" : "a";
  const entries = make("template");
  entries.innerHTML = value.html;
  const known = value.after ? Array.from(nav.querySelectorAll(".dd-conversation")) : [];
  const ids = new Set(known.map((entry) => entry.dataset.id));
  const fresh = Array.from(entries.content.children).filter((entry) => !ids.has(entry.dataset.id));
  const at = nav.scrollTop;
  nav.replaceChildren(...grouped([...known, ...fresh]));
  if (value.note) {
    const note = make("template");
    note.innerHTML = value.note;
    nav.append(note.content);
  }
  if (value.next) nav.append(moreButton(value));
  nav.scrollTop = value.after ? at : 0;
  mark();
  if (focused) nav.querySelector(`[data-id="${CSS.escape(focused)}"] ${part}`)?.focus();
}

function grouped(entries) {
  const midnight = new Date().setHours(0, 0, 0, 0);
  const limits = [["today", midnight], ["yesterday", midnight - DAY], ["week", midnight - 7 * DAY], ["older", -Infinity]];
  const group = (entry) => limits.find(([, from]) => Number(entry.dataset.at) * 1000 >= from)[0];
  const sections = new Map();
  for (const entry of entries) {
    const name = group(entry);
    if (!sections.has(name)) {
      const heading = make("h2", { id: `dd-side-${name}` }, props.value.groups[name]);
      sections.set(name, make("section", {}, heading, make("ul", { "aria-labelledby": heading.id })));
    }
    sections.get(name).lastChild.append(entry);
  }
  return sections.values();
}

function moreButton(value) {
  const button = make("button", { type: "button", class: "dd-side-more" }, words().more);
  button.addEventListener("click", () => ask({ action: "list", q: value.q, after: value.next }));
  const seen = new IntersectionObserver(([entry]) => {
    if (!entry.isIntersecting) return;
    seen.disconnect();
    button.click();
  }, { root: nav, rootMargin: "200px" });
  seen.observe(button);
  return button;
}

function mark() {
  const current = opening ?? shown;
  for (const entry of nav.querySelectorAll(".dd-conversation")) {
    const link = entry.querySelector("a");
    if (link && entry.dataset.id === current) link.setAttribute("aria-current", "page");
    else link?.removeAttribute("aria-current");
  }
}

search.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => ask({ action: "list", q: search.value.trim() }), 250);
});

document.addEventListener("visibilitychange", () => {
  if (!document.hidden && !first && Date.now() - listedAt > STALE_MS && !nav.querySelector("input, .dd-sure"))
    ask({ action: "list", q: search.value.trim() });
});

// The menu of an entry

const menu = make("div", { id: "dd-side-menu", popover: "auto", role: "menu" });
element.append(menu);
let owner = null; // the entry whose menu is open

function openMenu(button) {
  owner = button.closest(".dd-conversation");
  const item = (tag, name, more) => make(tag, { role: "menuitem", tabindex: "-1", "data-act": name, ...more }, words()[name]);
  menu.replaceChildren(
    item("button", "rename", { type: "button" }),
    item("a", "export", { href: owner.dataset.export, download: "" }),
    item("button", "delete", { type: "button" }),
  );
  menu.setAttribute("aria-label", button.getAttribute("aria-label"));
  menu.showPopover();
  const place = button.getBoundingClientRect();
  const above = place.bottom + menu.offsetHeight + 8 > innerHeight;
  menu.style.left = `${Math.max(8, Math.min(place.left, innerWidth - menu.offsetWidth - 8))}px`;
  menu.style.top = `${above ? place.top - menu.offsetHeight - 4 : place.bottom + 4}px`;
  button.setAttribute("aria-expanded", "true");
  menu.firstChild.focus();
}

menu.addEventListener("toggle", (event) => {
  if (event.newState === "closed") owner?.querySelector(".dd-dots")?.setAttribute("aria-expanded", "false");
});

menu.addEventListener("keydown", (event) => {
  const items = Array.from(menu.children);
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  items[(items.indexOf(document.activeElement) + step + items.length) % items.length].focus();
});

menu.addEventListener("click", (event) => {
  const act = event.target.closest("[data-act]")?.dataset.act;
  if (!act) return;
  const entry = owner;
  menu.hidePopover();
  if (act === "rename") rename(entry);
  else if (act === "delete") sure(entry);
});

// In the place of the entry, until it is done: an input for the title, or a question whether to delete.
function instead(entry, ...parts) {
  const before = Array.from(entry.childNodes);
  entry.replaceChildren(...parts);
  return (focus = true) => {
    entry.replaceChildren(...before);
    if (focus) entry.querySelector(".dd-dots")?.focus();
  };
}

function rename(entry) {
  const link = entry.querySelector("a");
  const input = make("input", { type: "text", maxlength: "200", "aria-label": words().rename_label });
  input.value = link.title;
  const back = instead(entry, input);
  let done = false;
  const end = (save, focus) => {
    if (done) return;
    done = true;
    back(focus);
    const title = input.value.trim();
    if (!save || !title || title === link.title) return;
    link.textContent = link.title = title;
    ask({ action: "rename", id: entry.dataset.id, title, q: search.value.trim() });
  };
  input.addEventListener("keydown", (event) => {
    if (event.isComposing || event.keyCode === 229) return;
    if (event.key === "Enter") end(true, true);
    else if (event.key === "Escape") end(false, true);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  input.addEventListener("blur", () => end(true, false));
  input.focus();
  input.select();
}

function sure(entry) {
  const { delete_sure, delete: remove, cancel } = words();
  const yes = make("button", { type: "button", class: "dd-sure-yes" }, remove);
  const no = make("button", { type: "button" }, cancel);
  const group = make("div", { class: "dd-sure", role: "group", "aria-label": delete_sure }, make("span", {}, delete_sure), yes, no);
  const back = instead(entry, group);
  no.addEventListener("click", () => back());
  group.addEventListener("keydown", (event) => event.key === "Escape" && (event.stopPropagation(), back()));
  yes.addEventListener("click", () => {
    const id = entry.dataset.id;
    entry.remove();
    search.focus({ preventScroll: true });
    ask({ action: "delete", id, q: search.value.trim() });
    if (id === (opening ?? shown)) {
      address("", "replaceState");
      open("", "select");
    }
  });
  yes.focus();
}

nav.addEventListener("click", (event) => {
  const dots = event.target.closest(".dd-dots");
  if (dots) openMenu(dots);
  else if (event.target.closest("a") && narrow()) drawer(false);
});

// Open or closed: beside the chat as it was left, on a phone as a drawer over it

const isClosed = () => panel.classList.contains(narrow() ? "dd-drawer-closed" : "dd-side-closed");

function toggled() {
  document.querySelector(".dd-side-toggle")?.setAttribute("aria-expanded", String(!isClosed()));
}

function drawer(on) {
  panel.classList.toggle(narrow() ? "dd-drawer-closed" : "dd-side-closed", !on);
  if (!narrow()) localStorage.setItem(CLOSED, on ? "no" : "yes");
  toggled();
}

document.addEventListener("click", (event) => {
  if (event.target.closest(".dd-side-toggle")) {
    const on = isClosed();
    drawer(on);
    if (on && narrow()) search.focus();
  } else if (narrow() && !isClosed() && !event.target.closest("#dd-side, #dd-side-menu")) drawer(false);
  else if (event.target.closest("#dd-new") && narrow()) drawer(false);
});
side.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !narrow() || isClosed() || menu.matches(":popover-open")) return;
  drawer(false);
  document.querySelector(".dd-side-toggle").focus();
});
window.matchMedia("(max-width: 900px)").addEventListener("change", toggled);

const kept = localStorage.getItem(CLOSED);
panel.classList.add("dd-drawer-closed");
panel.classList.toggle("dd-side-closed", kept ? kept === "yes" : window.matchMedia("(max-width: 1100px)").matches);
if (addressed()) panel.classList.add("dd-opening"); // until it is there, the greeting would be wrong
watch("value", show);
show();
