// Runs inside the report's gr.HTML component: `element` is its root, `watch`, `props` and `trigger` are Gradio's.
// The gateway draws the report; this file asks for it when it is looked at, and hands files to the browser.
const root = element.querySelector(".dd-report");
let drawn = "";
let saved = ""; // id of the last file that was handed over
let wanted = false; // somebody looks, and nothing has been asked for yet: first the page must know its language

function draw() {
  const value = props.value || {};
  const now = JSON.stringify([value.lang, value.since, value.html]);
  if (now !== drawn) {
    drawn = now;
    const focused = root.contains(document.activeElement) && document.activeElement.matches("[data-since]");
    root.innerHTML = (value.bar || "") + (value.html || value.waiting || "");
    if (focused) root.querySelector("[data-since]")?.focus();
  }
  root.removeAttribute("aria-busy");
  if (wanted) ask({});
  if (value.file && value.file.id !== saved) save(value.file);
}

function save(file) {
  saved = file.id;
  const bytes = Uint8Array.from(atob(file.data), (char) => char.charCodeAt(0));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([bytes], { type: file.type }));
  link.download = file.name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

function ask(wish) {
  wanted = !props.value?.lang;
  if (wanted) return;
  root.setAttribute("aria-busy", "true");
  trigger("submit", { since: root.querySelector("[data-since]")?.value || "", ...wish });
}

root.addEventListener("change", (event) => event.target.matches("[data-since]") && ask({}));
root.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button?.dataset.format) ask({ format: button.dataset.format });
  else if (button && "again" in button.dataset) ask({});
});
document.addEventListener("dd-panel", (event) => event.detail === "report" && ask({}));
watch("value", draw);
draw();
if (document.body.dataset.panel === "report") ask({});
