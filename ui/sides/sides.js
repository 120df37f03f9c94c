// Runs inside the voting component, which shows nothing itself: `element`, `watch`, `trigger`, `props` are Gradio's.
// Two answers side by side lie in the conversation (chat.js draws them). This scrolls their columns together, turns the
// tabs of a narrow page, and sends votes. What was typed or chosen lives in the inputs; drawing a turn anew keeps it.
const TYPED = "textarea, input:not([type=radio], [type=checkbox]), select, [contenteditable]";
const columns = (inside) => Array.from(inside.closest(".dd-compare").querySelectorAll(".dd-side-text"));

// --- columns that scroll together: the one that is moved moves the other to the same share of its length
const led = new WeakMap(); // column -> where this file has put it, so that it does not lead in turn

function follow(column) {
  const at = led.get(column);
  led.delete(column);
  if (at !== undefined && Math.abs(at - column.scrollTop) <= 1) return;
  if (!column.closest(".dd-compare").querySelector("[data-switch=link]").checked) return;
  const share = column.scrollTop / Math.max(1, column.scrollHeight - column.clientHeight);
  for (const other of columns(column)) {
    const wanted = Math.round(share * (other.scrollHeight - other.clientHeight));
    if (other === column || Math.abs(other.scrollTop - wanted) <= 1) continue;
    led.set(other, wanted);
    other.scrollTop = wanted;
  }
}

// The switch is of use only where a column is longer than its place. Once a frame: asking for a height lays the page out.
let due = 0;
function soon() {
  due ||= requestAnimationFrame(measure);
}

function measure() {
  due = 0;
  for (const compare of document.querySelectorAll(".dd-compare")) {
    const long = columns(compare.firstElementChild).some((column) => column.scrollHeight > column.clientHeight + 4);
    compare.toggleAttribute("data-long", long);
    turned(compare.querySelector(".dd-sides"));
  }
}

// --- tabs: on a narrow page one side fills the width, and the other is a swipe or a tab away
function turned(sides) {
  const shown = Math.round(sides.scrollLeft / Math.max(1, sides.clientWidth));
  for (const tab of sides.closest(".dd-compare").querySelectorAll(".dd-tabs button"))
    tab.setAttribute("aria-current", String(Number(tab.dataset.side) === shown));
}

function turnTo(tab) {
  const sides = tab.closest(".dd-compare").querySelector(".dd-sides");
  const smooth = !window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  sides.scrollTo({ left: Number(tab.dataset.side) * sides.clientWidth, behavior: smooth ? "smooth" : "instant" });
}

document.addEventListener("scroll", ({ target }) => {
  if (target.classList?.contains("dd-side-text")) follow(target);
  else if (target.classList?.contains("dd-sides")) turned(target);
}, true);
document.addEventListener("click", ({ target }) => {
  const tab = target.closest?.(".dd-tabs button");
  if (tab) turnTo(tab);
});
document.addEventListener("dd-drawn", soon);
window.addEventListener("resize", soon);

// --- the vote
const form = (key) => document.querySelector(`.dd-vote[data-vote="${CSS.escape(key)}"]`);

function send(vote) {
  const winner = vote.querySelector("[type=radio]:checked")?.value;
  if (!winner || vote.dataset.sending) return;
  const offered = Array.from(vote.querySelectorAll(".dd-reasons input:checked")).filter((box) => box.offsetParent);
  vote.dataset.sending = "yes";
  vote.querySelector(".dd-vote-error").textContent = "";
  const comment = vote.querySelector("textarea").value;
  trigger("submit", { key: vote.dataset.vote, winner, reasons: offered.map((box) => box.value), comment });
}

function answered() {
  const { key, item, error } = props.value || {};
  if (!key) return;
  const vote = form(key);
  if (vote) delete vote.dataset.sending;
  if (error && vote) vote.querySelector(".dd-vote-error").textContent = error;
  if (!item) return;
  document.dispatchEvent(new CustomEvent("dd-turn", { detail: item })); // chat.js draws it, the form gives way
  const bar = document.querySelector(`article[data-key="${CSS.escape(key)}"] .dd-vote-bar`);
  bar?.querySelector(".dd-revote")?.removeAttribute("open");
  bar?.querySelector(".dd-voted")?.focus({ preventScroll: true });
}

document.addEventListener("submit", (event) => {
  const vote = event.target.closest(".dd-vote");
  if (!vote) return;
  event.preventDefault();
  send(vote);
});

// 1 to 4 choose while one reads a comparison; nothing is sent before Enter or the button, and no text box loses a key.
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.(TYPED)) return;
  const vote = event.target.closest?.(".dd-compare")?.querySelector(".dd-vote");
  const radio = /^[1-4]$/.test(event.key) && vote?.querySelectorAll("[type=radio]")[Number(event.key) - 1];
  if (!radio || !radio.offsetParent) return;
  event.preventDefault();
  radio.checked = true;
  radio.focus();
});

watch("value", answered);
measure();
