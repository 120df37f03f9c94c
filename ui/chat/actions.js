// Runs behind chat.js, in the same component: asking a question again, perhaps with another voice or in other words. The
// turn and those after it are replaced; where there are later ones, a first click only says so.
const busy = () => root.querySelector('[aria-busy="true"]');
const turnOf = (article) => (props.value.turns.find((item) => item.key === article.dataset.key) || {}).turn;
const voiceOf = (turn) => (turn.blind ? "blind" : turn.voice);
const laterThan = (article) => root.querySelectorAll("article").length - 1 - Array.from(root.children).indexOf(article);
const said = (name, values = {}) => Object.entries(values).reduce((text, [key, value]) => text.replace(`{${key}}`, value), props.value.words[name]);

function again(button, article, voice) {
  if (busy()) return;
  const later = laterThan(article);
  if (later && !button.dataset.sure) return warn(button, later);
  const turn = turnOf(article);
  trigger("submit", { question: turn.question, voice: voice || voiceOf(turn), from: turn.key });
}

function warn(button, later) {
  const label = button.querySelector("span") || button;
  const before = label.textContent;
  label.textContent = said("replaces", { count: later });
  button.dataset.sure = "1";
  const calm = () => {
    label.textContent = before;
    delete button.dataset.sure;
  };
  button.addEventListener("blur", calm, { once: true });
}

// The voices that the picker offers, as a menu below the button.
function openMenu(button, article) {
  const menu = document.createElement("div");
  menu.className = "dd-menu";
  menu.popover = "auto";
  menu.setAttribute("role", "menu");
  menu.setAttribute("aria-label", button.getAttribute("aria-label"));
  for (const { value, text } of document.querySelectorAll("#dd-voice option")) {
    const item = document.createElement("button");
    item.type = "button";
    item.setAttribute("role", "menuitem");
    item.append(Object.assign(document.createElement("span"), { textContent: text }));
    item.addEventListener("click", () => {
      again(item, article, value);
      if (busy() || !item.dataset.sure) menu.hidePopover();
    });
    menu.append(item);
  }
  menu.addEventListener("toggle", (event) => {
    button.setAttribute("aria-expanded", String(event.newState === "open"));
    if (event.newState === "closed") menu.remove();
  });
  menu.addEventListener("keydown", (event) => {
    const items = Array.from(menu.children);
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    items.at((items.indexOf(document.activeElement) + step) % items.length).focus();
  });
  element.append(menu);
  menu.showPopover();
  place(menu, button.getBoundingClientRect());
  menu.firstElementChild?.focus();
}

function place(menu, box) {
  const { width, height } = menu.getBoundingClientRect();
  const below = box.bottom + 4 + height <= window.innerHeight;
  menu.style.left = `${Math.max(8, Math.min(box.right - width, window.innerWidth - width - 8))}px`;
  menu.style.top = `${below ? box.bottom + 4 : Math.max(8, box.top - 4 - height)}px`;
}

// The question becomes a text box in its place.
function edit(article) {
  const shown = article.querySelector(".dd-ask");
  if (busy() || article.querySelector(".dd-edit")) return;
  const form = document.createElement("form");
  form.className = "dd-edit";
  const box = document.createElement("textarea");
  box.value = turnOf(article).question;
  box.rows = Math.min(8, box.value.split("\n").length + 1);
  box.setAttribute("aria-label", said("edit"));
  const note = Object.assign(document.createElement("span"), { className: "dd-note" });
  const later = laterThan(article);
  note.textContent = later ? said("edit_replaces", { count: later }) : "";
  const cancel = Object.assign(document.createElement("button"), { type: "button", textContent: said("cancel") });
  const send = Object.assign(document.createElement("button"), { type: "submit", textContent: said("send") });
  const foot = document.createElement("div");
  foot.append(note, cancel, send);
  form.append(box, foot);
  const close = () => {
    form.remove();
    shown.hidden = false;
    shown.querySelector("[data-edit]").focus();
  };
  cancel.addEventListener("click", close);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const turn = turnOf(article);
    if (box.value.trim() && !busy()) trigger("submit", { question: box.value, voice: voiceOf(turn), from: turn.key });
  });
  box.addEventListener("keydown", (event) => {
    if (event.isComposing || event.keyCode === 229) return;
    if (event.key === "Escape") {
      event.preventDefault();
      close();
    } else if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      form.requestSubmit();
    }
  });
  shown.hidden = true;
  article.prepend(form);
  box.focus();
  box.setSelectionRange(box.value.length, box.value.length);
}

element.addEventListener("click", (event) => {
  const target = event.target.closest("[data-again], [data-again-with], [data-edit]");
  const article = target?.closest("article");
  if (!article) return;
  if (target.hasAttribute("data-edit")) edit(article);
  else if (target.hasAttribute("data-again-with")) openMenu(target, article);
  else again(target, article);
});
