// Loads the page again when its runs have gone on. The view is in the URL's fragment, which stays. The rest of
// what a reader has before them is kept here: what is unfolded, how far everything is scrolled, and the focus.
(() => {
  const version = document.currentScript.dataset.version;
  const KEPT = "snlab.live";
  const REST = 500; // milliseconds without a hand on the page, before it is loaded again

  // ---- elements by what they are called: rows and panels may have come in between ----------------------

  const kind = (element) =>
    element.localName + [...element.classList].map((name) => `.${CSS.escape(name)}`).join("");

  const words = (element) => (element?.textContent ?? "").replace(/ \(\d+ of \d+.*/, "").slice(0, 120);

  function place(element) {
    const found = [kind(element)];
    if (element.matches("a, button, summary")) found.push(words(element));
    if (element.matches("input, select")) found.push(words(element.closest("label")));
    for (let at = element; at && at !== document.body; at = at.parentElement) {
      const own = [at.id, at.dataset.panel, at.dataset.normalizer, at.getAttribute("aria-label")];
      found.push(...own.filter(Boolean));
      if (at.localName === "details") found.push(words(at.querySelector("summary")));
      if (at.localName === "tr") found.push(words(at.cells[0]));
    }
    return found.join("\n");
  }

  // Elements by their places; of several in one place the first, the second, ...
  function placed(elements) {
    const found = new Map();
    const counts = new Map();
    for (const element of elements) {
      const name = place(element);
      counts.set(name, (counts.get(name) ?? 0) + 1);
      found.set(`${name}\n#${counts.get(name)}`, element);
    }
    return found;
  }

  const all = (selector) => [...document.querySelectorAll(selector)];
  const alike = (name) => placed(all(name.split("\n", 1)[0]));
  const nameOf = (element) =>
    [...alike(kind(element))].find(([, other]) => other === element)?.[0] ?? null;

  // ---- what is kept ------------------------------------------------------------------------------------

  const TOGGLES = "button[aria-expanded]";
  const isOpen = (toggle) => toggle.getAttribute("aria-expanded") === "true";

  function look() {
    const open = [...placed(all("details"))].map(([name, fold]) => [name, fold.open]);
    const expanded = [...placed(all(TOGGLES))].filter(([, toggle]) => isOpen(toggle)).map(([name]) => name);
    const scrolled = all("body *")
      .filter((element) => element.scrollLeft || element.scrollTop)
      .map((element) => [nameOf(element), element.scrollLeft, element.scrollTop]);
    const focus = document.activeElement;
    const focused = focus && focus !== document.body ? nameOf(focus) : null;
    return { open, expanded, scrolled, focused, x: scrollX, y: scrollY };
  }

  function unfold({ open, expanded }) {
    const toggles = placed(all(TOGGLES));
    for (const name of expanded) if (toggles.has(name) && !isOpen(toggles.get(name))) toggles.get(name).click();
    const folds = placed(all("details")); // those in what was just expanded, too
    for (const [name, now] of open) if (folds.has(name)) folds.get(name).open = now;
  }

  function goBack({ scrolled, focused, x, y }) {
    if (focused) alike(focused).get(focused)?.focus({ preventScroll: true });
    for (const [name, left, top] of scrolled) alike(name).get(name)?.scrollTo(left, top);
    scrollTo(x, y);
  }

  const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
  sessionStorage.removeItem(KEPT);
  if (kept) {
    unfold(kept);
    addEventListener("load", () => requestAnimationFrame(() => goBack(kept)));
  }

  // ---- when --------------------------------------------------------------------------------------------

  let held = false; // a button of the pointer is down, as in a zoom
  let touched = -REST;
  for (const event of ["pointerdown", "pointerup", "pointercancel", "keydown", "input", "wheel"]) {
    const noted = () => {
      held = event === "pointerdown" || (held && !event.startsWith("pointer"));
      touched = performance.now();
    };
    addEventListener(event, noted, { capture: true, passive: true });
  }

  async function ask() {
    if (document.visibilityState !== "visible") return;
    try {
      const answer = await fetch("/version", { cache: "no-store" });
      if (!answer.ok || (await answer.text()) === version) return;
    } catch {
      return; // nobody serves it any more: the page stays
    }
    if (held || performance.now() - touched < REST) return; // the next time
    sessionStorage.setItem(KEPT, JSON.stringify(look()));
    location.reload();
  }
  setInterval(ask, 1000);
  document.addEventListener("visibilitychange", ask);
})();
