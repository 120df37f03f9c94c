// Runs inside the filters' gr.HTML component: `element` is its root, `watch` and `props` are Gradio's.
// Native selects: they need no code of ours for the keyboard, screen readers and phones. A filter is shown where there
// is more than one value; each offers what goes together with those before it. The choice is kept for the next visit.
const root = element.querySelector(".dd-filters");
const NAMES = ["product", "version", "lang"];
const KEPT = "docduet-filters";
let wanted = kept(); // what was chosen, also while it is not on offer
let chosen = {}; // what of it is on offer now
let drawn = "";

function kept() {
  try {
    return JSON.parse(localStorage.getItem(KEPT)) || {};
  } catch {
    return {};
  }
}

const values = (name) => (props.value?.values || {})[name] || [];

// The values of `name` on pages that have what is chosen before it: versions of the product, languages of the version.
function fitting(name) {
  const at = NAMES.indexOf(name);
  const fits = (entry) => NAMES.slice(0, at).every((other, i) => !chosen[other] || chosen[other] === entry[i]);
  const found = new Set((props.value?.combinations || []).filter(fits).map((entry) => entry[at]));
  return values(name).filter((value) => found.has(value));
}

function called(name, value) {
  if (name !== "lang") return value;
  try {
    return new Intl.DisplayNames([props.value.lang], { type: "language" }).of(value);
  } catch {
    return value;
  }
}

function option(value, text) {
  const made = document.createElement("option");
  made.value = value;
  made.textContent = text;
  return made;
}

function draw() {
  if (!props.value?.values) return;
  const asked = NAMES.filter((name) => values(name).length > 1);
  chosen = {}; // what is not on offer any more cannot be chosen
  for (const name of asked) if (wanted[name] && fitting(name).includes(wanted[name])) chosen[name] = wanted[name];
  const now = JSON.stringify([props.value.lang, asked.map((name) => [name, fitting(name), chosen[name]])]);
  if (now !== drawn) {
    drawn = now;
    root.setAttribute("aria-label", props.value.label);
    const focused = root.contains(document.activeElement) ? document.activeElement.dataset.filter : "";
    root.replaceChildren(...asked.map(select));
    if (focused) root.querySelector(`[data-filter="${focused}"]`)?.focus();
  }
  tell();
}

function select(name) {
  const made = document.createElement("select");
  made.dataset.filter = name;
  made.setAttribute("aria-label", props.value.names[name]);
  made.append(option("", props.value.all[name]), ...fitting(name).map((value) => option(value, called(name, value))));
  made.value = chosen[name] || "";
  const wrap = document.createElement("span");
  wrap.className = chosen[name] ? "dd-filter dd-filter-on" : "dd-filter";
  wrap.append(made);
  return wrap;
}

// The server learns of the choice with the next question.
function tell() {
  const told = props.value.chosen || {};
  if (NAMES.every((name) => (told[name] || "") === (chosen[name] || ""))) return;
  props.value = { ...props.value, chosen: { ...chosen } };
}

root.addEventListener("change", (event) => {
  wanted = { ...chosen, [event.target.dataset.filter]: event.target.value };
  draw();
  wanted = chosen;
  localStorage.setItem(KEPT, JSON.stringify(wanted));
});

watch("value", draw);
draw();
