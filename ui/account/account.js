// Runs inside the account's gr.HTML component. The server renders the menu; this file opens and closes it, and watches
// whether whoever opened the page is still signed in: it asks when a request is refused, when the page is looked at
// again, and when "back" brings it up from the browser's memory.
const root = element.querySelector(".dd-account");
const value = () => props.value || {};
let ended = null;

function show() {
  const template = document.createElement("template");
  template.innerHTML = value().html || "";
  root.replaceChildren(template.content);
}

function tell() {
  if (ended) return;
  ended = document.createElement("div");
  ended.className = "dd-ended";
  ended.setAttribute("role", "alert");
  document.body.appendChild(ended);
  ended.innerHTML = value().ended || "";
}

function clear() {
  ended?.remove();
  ended = null;
}

// Nobody: the page stays as it is, and says so. Somebody else: it is not theirs to see, so it is loaded anew.
async function check(fresh) {
  if (!value().user) return;
  let now;
  try {
    now = (await ask("/sign-in/who", { cache: "no-store" }).then((answer) => answer.json())).user;
  } catch {
    return; // the gateway does not answer, which others tell
  }
  if (now === value().user) clear();
  else if (now || fresh) location.reload();
  else tell();
}

const ask = window.fetch.bind(window);
window.fetch = async (...given) => {
  const answer = await ask(...given);
  if ((answer.status === 401 || (ended && answer.ok)) && new URL(answer.url, location).origin === location.origin) check();
  return answer;
};
document.addEventListener("visibilitychange", () => document.hidden || check());
window.addEventListener("focus", () => check());
window.addEventListener("pageshow", (event) => event.persisted && check(true));

const menu = () => root.querySelector("details");
document.addEventListener("click", (event) => {
  if (menu()?.open && !event.target.closest(".dd-account")) menu().open = false;
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !menu()?.open) return;
  menu().open = false;
  menu().querySelector("summary").focus();
});

watch("value", show);
show();
