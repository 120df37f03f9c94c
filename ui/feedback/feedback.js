// Runs inside the feedback component, which shows nothing itself: `element`, `watch`, `trigger`, `props` are Gradio's.
// Thumbs and forms lie in the conversation (chat.js draws them). This sends what is pressed in them, puts the turn that
// comes back in place, and moves the focus on from what is gone.
const PATIENCE_MS = 15000;

const place = (key, choice) =>
  document.querySelector(`article[data-key="${CSS.escape(key)}"] .dd-feedback[data-choice="${Number(choice)}"]`);
const checked = (form, name) => Array.from(form.querySelectorAll(`[name=${name}]:checked`), (box) => box.value);

function typed(form) {
  const { comment, should_have_said } = form.elements;
  const pages = form.querySelector("[name=page]") ? checked(form, "page") : null;
  return { reasons: checked(form, "reason"), comment: comment.value, should_have_said: should_have_said.value, pages };
}

function send(pressed, data) {
  const block = pressed.closest(".dd-feedback");
  if (block.dataset.sending) return;
  const sent = (block.dataset.sending = String(Math.random()));
  setTimeout(() => {
    if (block.dataset.sending !== sent) return;
    delete block.dataset.sending;
    block.querySelector(".dd-opinion-error").textContent = block.dataset.lost;
  }, PATIENCE_MS);
  trigger("submit", { key: block.closest("article").dataset.key, choice: Number(block.dataset.choice), ...data });
}

document.addEventListener("click", ({ target }) => {
  const button = target.closest?.("[data-opinion]");
  if (button) send(button, { do: button.dataset.opinion });
});
document.addEventListener("submit", (event) => {
  if (!event.target.matches?.(".dd-opinion-form")) return;
  event.preventDefault();
  send(event.target, { do: "send", ...typed(event.target) });
});
document.addEventListener("keydown", (event) => {
  const form = event.target.closest?.(".dd-opinion-form");
  if (form && event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.isComposing) form.requestSubmit();
});

function answered() {
  const { key, choice, focus, item } = props.value || {};
  if (!key) return;
  for (const block of document.querySelectorAll(`article[data-key="${CSS.escape(key)}"] .dd-feedback`)) delete block.dataset.sending;
  if (!item) return;
  document.dispatchEvent(new CustomEvent("dd-turn", { detail: item })); // chat.js draws it
  if (focus) place(key, choice)?.querySelector(focus)?.focus({ preventScroll: true });
  for (const part of ["form", ".dd-opinion-error:not(:empty)"]) place(key, choice)?.querySelector(part)?.scrollIntoView({ block: "nearest" });
}

watch("value", answered);
