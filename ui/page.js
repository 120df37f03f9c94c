// Runs once when the page loads: light or dark as chosen before, the panel that the address names, and a question box
// that behaves with input methods.
() => {
  const saved = localStorage.getItem("docduet-theme");
  if (saved) document.body.classList.toggle("dark", saved === "dark");

  const box = () => document.querySelector("#dd-box textarea");
  // Enter that confirms a Chinese, Japanese or Korean composition must not send the question.
  for (const type of ["keydown", "keypress"])
    document.addEventListener(type, (event) => {
      if (event.key === "Enter" && event.target === box() && (event.isComposing || event.keyCode === 229)) event.stopPropagation();
    }, true);
  // After a click on "send", "stop", an example or "new chat" one goes on typing.
  document.addEventListener("click", (event) => {
    if (event.target.closest("#dd-box button, #dd-new, [data-ask]") && !window.matchMedia("(max-width: 900px)").matches)
      setTimeout(() => box()?.focus(), 0);
  });

  // "/#report" shows the panel of that name, the first one where the header has no such link (it has those that are for
  // whoever uses the page); panels learn of it from the event.
  const show = () => {
    const first = document.querySelector(".dd-panel")?.id.replace("dd-panel-", "");
    const named = location.hash.slice(1).split("/")[0];
    const links = Array.from(document.querySelectorAll("#dd-panels a"), (link) => link.dataset.panel);
    const chosen = links.includes(named) ? named : first;
    document.body.dataset.panel = chosen;
    for (const panel of document.querySelectorAll(".dd-panel")) panel.classList.toggle("dd-shown", panel.id === `dd-panel-${chosen}`);
    for (const link of document.querySelectorAll("#dd-panels a")) link.toggleAttribute("aria-current", link.dataset.panel === chosen);
    document.dispatchEvent(new CustomEvent("dd-panel", { detail: chosen }));
  };
  window.addEventListener("hashchange", show);
  new MutationObserver(show).observe(document.querySelector("#dd-panels"), { childList: true, subtree: true });
  show();
};
