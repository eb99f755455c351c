// ---- a page that is served while runs go on: it loads itself again when there is news -----------------

const ASK = 2000; // milliseconds

// Ask `address` until it answers something else than `known`.
function follow([address, known]) {
  const ask = async () => {
    try {
      const answer = await fetch(address, { cache: "no-store" });
      const now = answer.ok ? await answer.text() : known;
      if (now.trim() !== known) {
        view.write();
        sessionStorage.setItem("scroll", String(scrollY));
        location.reload();
        return;
      }
    } catch {
      // the server has ended: what was shown stays
    }
    setTimeout(ask, ASK);
  };
  ask();
}

// Where the reader was before the page loaded itself again.
function restoreScroll() {
  try {
    const before = sessionStorage.getItem("scroll");
    sessionStorage.removeItem("scroll");
    if (before !== null) scrollTo(0, Number(before));
  } catch {
    // a page from disk may have no storage
  }
}
