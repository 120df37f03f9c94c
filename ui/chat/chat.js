// Runs inside the conversation's gr.HTML component: `element` is its root, `watch` and `trigger` are Gradio's.
// The server renders and sanitises every turn; this file only puts the HTML on the page, changing no more than what is
// new (so that a long conversation does not flicker and a selection survives), and makes markers, cards and buttons work.
const root = element.querySelector(".dd-chat");
let shown = new Map(); // key of a turn -> the HTML on the page
let copies = new Map(); // key of a turn -> what each kind of copy takes of each reply
const amended = new Map(); // key of a turn -> the turn as it became after its answer, by a vote for example

const narrow = () => window.matchMedia("(max-width: 900px)").matches;

function morph(node, wanted) {
  const old = Array.from(node.childNodes);
  const fresh = Array.from(wanted.childNodes);
  fresh.forEach((next, i) => {
    const now = old[i];
    if (!now) node.appendChild(next);
    else if (now.isEqualNode(next)) return;
    else if (now.nodeType === 1 && next.nodeType === 1 && now.tagName === next.tagName) {
      for (const { name, value } of Array.from(next.attributes))
        if (name !== "open" && now.getAttribute(name) !== value) now.setAttribute(name, value);
      morph(now, next);
    } else node.replaceChild(next, now);
  });
  old.slice(fresh.length).forEach((rest) => rest.remove());
}

function fragment(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content;
}

// What streams in brings earlier turns as they were when the question was asked: the newer one stays.
function newest(turn) {
  const later = amended.get(turn.key);
  return later && (later.turn.revision || 0) > (turn.turn.revision || 0) ? later : turn;
}

document.addEventListener("dd-turn", ({ detail }) => {
  amended.set(detail.key, detail);
  show();
});

function show() {
  const value = props.value || {};
  const turns = (value.turns || []).map(newest);
  if (turns.some((turn, i) => turn !== value.turns[i])) props.value = { ...value, turns }; // goes with the next question
  document.documentElement.lang = value.lang === "zh" ? "zh-CN" : "en";
  for (const name of ["aria-label", "title"]) document.querySelector("#dd-theme")?.setAttribute(name, value.words?.theme || "");
  root.classList.toggle("dd-empty", turns.length === 0);
  tell(value, turns.at(-1)?.turn);
  if (turns.length === 0) {
    shown = new Map();
    root.replaceChildren(fragment(value.welcome || ""));
    return;
  }
  if (shown.size === 0) root.replaceChildren();
  const keys = new Set(turns.map((turn) => turn.key));
  for (const article of Array.from(root.children))
    if (!keys.has(article.dataset.key)) article.remove();
  const added = turns.filter((turn) => !shown.has(turn.key));
  for (const turn of turns) showTurn(turn);
  shown = new Map(turns.map((turn) => [turn.key, turn.html]));
  copies = new Map(turns.map((turn) => [turn.key, turn.copies]));
  if (added.length) toTop(added.at(-1).key);
  document.dispatchEvent(new CustomEvent("dd-drawn"));
}

// The list beside the chat follows what is shown here.
function tell({ conversation = "", opened, pending = false }, last) {
  const told = { id: conversation, opened, pending, answer: last?.answer_id || "" };
  document.dispatchEvent(new CustomEvent("dd-conversation", { detail: told }));
}

const find = (key) => root.querySelector(`article[data-key="${CSS.escape(key)}"]`);

function showTurn({ key, html }) {
  if (shown.get(key) === html) return;
  let article = find(key);
  if (!article) {
    article = document.createElement("article");
    article.className = "dd-turn";
    article.dataset.key = key;
    root.appendChild(article);
  }
  const before = article.querySelectorAll(".dd-sources details").length;
  morph(article, fragment(html));
  if (!narrow()) return;
  for (const sources of Array.from(article.querySelectorAll(".dd-sources details")).slice(before)) sources.open = false;
}

// A new question goes to the top and its answer grows below it: nothing moves under the reader's eyes.
function toTop(key) {
  const article = find(key);
  if (article === root.firstElementChild) element.scrollTop = 0;
  else element.scrollTop += article.getBoundingClientRect().top - element.getBoundingClientRect().top + 2;
}

function leadTo(number, place) {
  const card = place.querySelector(`.dd-card[id$="-${CSS.escape(number)}"]`);
  if (!card) return;
  card.closest("details").open = true;
  card.classList.remove("dd-hit");
  void card.offsetWidth; // lets the animation start again
  card.classList.add("dd-hit");
  card.scrollIntoView({ block: narrow() ? "center" : "nearest", behavior: "smooth" });
  card.focus({ preventScroll: true });
}

function unfold(button) {
  const quote = button.closest(".dd-card").querySelector(".dd-quote");
  const folded = quote.classList.toggle("dd-folded");
  button.setAttribute("aria-expanded", String(!folded));
  button.textContent = folded ? button.dataset.more : button.dataset.less;
}

async function copy(text, button) {
  if (navigator.clipboard) await navigator.clipboard.writeText(text);
  else legacyCopy(text); // plain http beyond this machine has no clipboard API
  const label = button.querySelector("span") || button;
  const before = label.textContent;
  label.textContent = props.value?.words?.copied || "✓";
  setTimeout(() => (label.textContent = before), 1500);
}

// "answer": the bare text; "sources": with its markers, and what they stand for below. Our own pages get our address.
function copied(key, choice, kind) {
  const { text, sources } = copies.get(key)[choice];
  if (kind === "answer") return text;
  const { answer } = props.value.turns.find((turn) => turn.key === key).turn.replies[choice];
  return `${answer.trim()}\n\n${sources.replaceAll("](/pages/", `](${location.origin}/pages/`)}\n`;
}

function legacyCopy(text) {
  const area = document.createElement("textarea");
  area.value = text;
  document.body.appendChild(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

element.addEventListener("click", (event) => {
  const target = event.target.closest("[data-source], [data-copy], [data-ask], .dd-more");
  if (!target) return;
  const article = target.closest("article");
  if (target.dataset.source) {
    event.preventDefault();
    leadTo(target.dataset.source, target.closest(".dd-side") || article);
  } else if (target.dataset.copy === "code") copy(target.closest(".dd-code").querySelector("pre").textContent, target);
  else if (target.dataset.copy) copy(copied(article.dataset.key, target.closest("section").dataset.choice, target.dataset.copy), target);
  else if (target.dataset.ask) trigger("submit", { question: target.dataset.ask });
  else unfold(target);
});

watch("value", show);
show();
