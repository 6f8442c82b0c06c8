// Renews the parts of the page that are marked data-live. Without it the page is the same, only as old as its loading.
"use strict";
(() => {
  const root = document.documentElement;
  const lost = document.getElementById("lost");
  const every = 1000 * Number(root.dataset.renew);
  let since = null;
  let timer = 0;

  const inUse = (part, focused) =>
    part.querySelector("[data-touched]") !== null || (part.contains(focused) && focused.closest("form") !== null);

  // A part in which a person is writing stays as it is, and says that it does.
  const renewPart = (part, fresh) => {
    const focused = document.activeElement;
    part.toggleAttribute("data-held", inUse(part, focused));
    if (part.hasAttribute("data-held") || part.outerHTML === fresh.outerHTML) return;
    const same = (each) => part.contains(focused) && each.outerHTML === focused.outerHTML;
    const again = [...fresh.querySelectorAll("a, summary, [tabindex]")].find(same);
    const opened = [...part.querySelectorAll("details[open][id]")].map((each) => each.id);
    part.replaceWith(document.adoptNode(fresh));
    for (const id of opened) document.getElementById(id)?.setAttribute("open", "");
    again?.focus({ preventScroll: true });
  };

  const renew = async () => {
    const answer = await fetch(root.dataset.renewFrom, { cache: "no-store", signal: AbortSignal.timeout(10000) });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (!page.getElementById("computed-at")) throw new Error("this is another page");
    document.title = page.title;
    for (const part of document.querySelectorAll("[data-live]")) {
      const fresh = page.getElementById(part.id);
      if (fresh) renewPart(part, fresh);
    }
  };

  // A dead monitor must never look like all clear.
  const tell = (failed) => {
    since = failed ? (since ?? new Date()) : null;
    root.toggleAttribute("data-lost", failed);
    lost.hidden = !failed;
    const text = failed ? `Connection lost since ${since.toLocaleTimeString()}. What you see is old and may be wrong.` : "";
    if (lost.textContent !== text) lost.textContent = text;
  };

  const again = async () => {
    clearTimeout(timer);
    timer = 0;
    if (!document.hidden) await renew().then(() => tell(false), () => tell(true));
    clearTimeout(timer);
    timer = setTimeout(again, every);
  };

  document.addEventListener("input", (event) => event.target.closest("[data-live] form")?.setAttribute("data-touched", ""));
  document.addEventListener("reset", (event) => event.target.removeAttribute("data-touched"));
  if (every) {
    document.addEventListener("visibilitychange", () => document.hidden || again());
    timer = setTimeout(again, every);
  }
  root.dataset.ready = "";
})();
