// Runs inside the panel's gr.HTML component: `element` is its root, `watch`, `trigger` and `props` are Gradio's.
// The server renders the sections; this file asks for the one that the address names (`#admin/gaps`), forwards clicks and
// forms, looks again while the page is open, and keeps focus and opened parts where they were.
const root = element.querySelector(".dd-admin");
let asked = {}; // section -> what its form says
let seq = 0;
let shown = "";
let place = "";
let timer = 0;

const here = () => document.body.dataset.panel === "admin";
const words = () => props.value || {};

function address() {
  const [panel, section, target] = location.hash.slice(1).split("/");
  if (panel !== "admin") return null;
  return { section: section || "sources", target: decodeURIComponent(target || "") };
}

function ask(more = {}) {
  const at = address();
  if (!at || !here() || !words().lang) return; // the language comes with the page
  clearTimeout(timer);
  seq += 1;
  root.setAttribute("aria-busy", "true");
  trigger("submit", { ...asked[at.section], ...at, ...more, seq, lang: words().lang });
}

function fragment(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content;
}

const keyed = (key) => root.querySelector(`[data-key="${CSS.escape(key)}"]`);

function show() {
  const value = words();
  if (!value.html) return ask(); // the page is new, or in another language now
  if (value.seq !== seq) return; // a newer question is under way
  root.setAttribute("aria-busy", "false");
  if (value.file?.text) save(value.file);
  if (value.html !== shown) {
    const same = place === location.hash;
    const focused = root.contains(document.activeElement) ? document.activeElement : null;
    const key = focused?.dataset.key || "";
    const named = focused?.name || "";
    const open = same ? Array.from(root.querySelectorAll("details[open]"), (part) => part.dataset.key) : [];
    root.replaceChildren(fragment(value.html));
    for (const part of open) if (keyed(part)) keyed(part).open = true;
    if (key) keyed(key)?.focus({ preventScroll: true });
    else if (named) root.querySelector(`[name="${CSS.escape(named)}"]`)?.focus({ preventScroll: true });
    if (!same) element.scrollTop = 0;
    root.querySelector(".dd-sections [aria-current]")?.scrollIntoView({ inline: "nearest", block: "nearest" });
    shown = value.html;
    place = location.hash;
  }
  again(value.again_ms);
}

function again(ms) {
  clearTimeout(timer);
  if (!ms) return;
  timer = setTimeout(() => {
    if (!here()) return;
    if (document.hidden || document.querySelector("dialog.dd-confirm[open]")) again(ms);
    else ask();
  }, ms);
}

function save({ name, text }) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function confirmed(question) {
  return new Promise((resolve) => {
    const dialog = document.createElement("dialog");
    dialog.className = "dd-confirm";
    const text = document.createElement("p");
    text.textContent = question;
    text.id = "dd-confirm-text";
    dialog.setAttribute("aria-labelledby", text.id);
    const choices = document.createElement("div");
    for (const answer of ["no", "yes"]) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = answer === "yes" ? "dd-do dd-primary" : "dd-do";
      button.textContent = words()[answer];
      button.addEventListener("click", () => dialog.close(answer));
      choices.append(button);
    }
    dialog.append(text, choices);
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    root.parentElement.append(dialog);
    dialog.showModal();
  });
}

async function act({ dataset }) {
  if (dataset.confirm && !(await confirmed(dataset.confirm))) return;
  const more = { action: dataset.do };
  if (dataset.target) more.target = dataset.target;
  if (dataset.offset) more.offset = Number(dataset.offset);
  ask(more);
}

function openChunk(number) {
  const part = root.querySelector(`#dd-chunk-${CSS.escape(number)}`);
  if (!part) return;
  for (const other of root.querySelectorAll(".dd-chunk[open]")) if (other !== part) other.open = false;
  part.open = true;
  part.scrollIntoView({ block: "nearest" });
  for (const piece of root.querySelectorAll(".dd-piece")) piece.classList.toggle("dd-chosen", piece.dataset.chunk === number);
}

function form(element) {
  const at = address();
  const given = Object.fromEntries(new FormData(element));
  if ("days" in given) given.days = Number(given.days);
  if ("top_k" in given) given.top_k = Number(given.top_k) || 8;
  if (at) asked[at.section] = given;
  ask();
}

root.addEventListener("click", (event) => {
  const button = event.target.closest("[data-do]");
  if (button) return act(button);
  const piece = event.target.closest("[data-chunk]");
  if (piece) openChunk(piece.dataset.chunk);
});
root.addEventListener("keydown", (event) => {
  if (!event.target.matches?.("[data-chunk]") || !["Enter", " "].includes(event.key)) return;
  event.preventDefault();
  openChunk(event.target.dataset.chunk);
});
root.addEventListener("submit", (event) => {
  event.preventDefault();
  form(event.target);
});
root.addEventListener("change", (event) => {
  if (event.target.form?.dataset.form === "gaps") form(event.target.form);
});
document.addEventListener("dd-panel", (event) => {
  if (event.detail === "admin") ask();
  else clearTimeout(timer);
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && here() && words().again_ms) ask();
});
watch("value", show);
if (here()) ask();
