// Loads the page again when its runs have gone on. The view is in the URL's fragment, which stays; what is
// unfolded, and how far down one has read, is kept here.
(() => {
  const version = document.currentScript.dataset.version;
  const KEPT = "snlab.live";
  const folds = () => [...document.querySelectorAll("details")];

  const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
  sessionStorage.removeItem(KEPT);
  if (kept) {
    folds().forEach((fold, i) => { fold.open = kept.open[i] ?? fold.open; });
    addEventListener("load", () => requestAnimationFrame(() => scrollTo(kept.x, kept.y)));
  }

  async function look() {
    if (document.visibilityState !== "visible") return;
    try {
      const answer = await fetch("/version", { cache: "no-store" });
      if (!answer.ok || (await answer.text()) === version) return;
    } catch {
      return; // nobody serves it any more: the page stays
    }
    const open = folds().map((fold) => fold.open);
    sessionStorage.setItem(KEPT, JSON.stringify({ open, x: scrollX, y: scrollY }));
    location.reload();
  }
  setInterval(look, 1000);
  document.addEventListener("visibilitychange", look);
})();
