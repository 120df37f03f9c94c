// Runs once when the page loads: light or dark as chosen before, and a question box that behaves with input methods.
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
};
