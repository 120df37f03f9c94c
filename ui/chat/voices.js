// Runs inside the voices' gr.HTML component: `element` is its root, `watch` and `props` are Gradio's.
// Native radio buttons, and on a narrow screen a native select (style.css shows one of them): both work with the
// keyboard and screen readers as they are. The choice is kept for the next visit.
const root = element.querySelector(".dd-voices");
const KEPT = "docduet-voice";
let wanted = localStorage.getItem(KEPT) || ""; // what was chosen, also while it is not on offer
let drawn = "";

function draw() {
  const { voices = [], lang, label } = props.value || {};
  const names = voices.map(([name]) => name);
  const chosen = names.includes(wanted) ? wanted : names.includes(props.value?.chosen) ? props.value.chosen : names[0] || "";
  const now = JSON.stringify([lang, voices]);
  if (now !== drawn) {
    drawn = now;
    const focused = root.contains(document.activeElement) ? document.activeElement.tagName : "";
    root.replaceChildren(...(voices.length > 1 ? [radios(voices, label), select(voices, label)] : []));
    if (focused) root.querySelector(focused === "SELECT" ? "select" : `input[value="${CSS.escape(chosen)}"]`)?.focus();
  }
  for (const input of root.querySelectorAll("input")) {
    input.checked = input.value === chosen;
    input.parentElement.classList.toggle("selected", input.checked);
  }
  for (const made of root.querySelectorAll("select")) made.value = chosen;
  if (props.value && props.value.chosen !== chosen) props.value = { ...props.value, chosen }; // told with the next question
}

function radios(voices, label) {
  const group = document.createElement("div");
  group.setAttribute("role", "radiogroup");
  group.setAttribute("aria-label", label);
  for (const [name, text, hint] of voices) {
    const made = document.createElement("label");
    const input = Object.assign(document.createElement("input"), { type: "radio", name: "dd-voice", value: name });
    const said = Object.assign(document.createElement("span"), { textContent: text });
    made.title = hint;
    made.append(input, said);
    group.append(made);
  }
  return group;
}

function select(voices, label) {
  const made = document.createElement("select");
  made.setAttribute("aria-label", label);
  for (const [name, text] of voices) made.append(new Option(text, name));
  return made;
}

root.addEventListener("change", (event) => {
  wanted = event.target.value;
  localStorage.setItem(KEPT, wanted);
  draw();
});

watch("value", draw);
draw();
