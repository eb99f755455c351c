// ---- the view: everything that a reader has chosen, kept in the URL's fragment, so that a link shows it 

const DEFAULTS = {
  band: "range",
  runs: "",
  x: "updates",
  smooth: "0",
  axis: "auto",
  theme: "auto",
  sigma: "normalizer",
  rows: "",
  "at.samples": "",
  "at.spectra": "",
};

const view = {
  chosen: new URLSearchParams(location.hash.slice(1)),
  listeners: [],
  pending: 0,

  get(key) {
    return this.chosen.get(key) ?? DEFAULTS[key] ?? "";
  },

  // Every value of a key that may stand there several times.
  all(key) {
    return new Set(this.chosen.getAll(key));
  },

  set(key, value) {
    if (value === (DEFAULTS[key] ?? "")) this.chosen.delete(key);
    else this.chosen.set(key, value);
    this.changed(key);
  },

  setAll(key, values) {
    this.chosen.delete(key);
    for (const value of values) this.chosen.append(key, value);
    this.changed(key);
  },

  toggle(key, value) {
    const values = this.all(key);
    if (!values.delete(value)) values.add(value);
    this.setAll(key, values);
  },

  // Whether anything whose key starts so is chosen.
  has(prefix) {
    return [...this.chosen.keys()].some((key) => key.startsWith(prefix));
  },

  clear(prefix) {
    for (const key of [...this.chosen.keys()]) if (key.startsWith(prefix)) this.chosen.delete(key);
    this.changed(prefix);
  },

  // `listener(key)` is called after every change; with "" where all of it may have changed. One that belongs
  // to an element is called until that element is `gone`.
  listen(listener, owner = null) {
    this.listeners.push({ listener, owner });
  },

  changed(key) {
    clearTimeout(this.pending);
    this.pending = setTimeout(() => this.write(), 100); // browsers limit how often
    this.tell(key);
  },

  tell(key) {
    this.listeners = this.listeners.filter(({ owner }) => !owner?.gone);
    for (const { listener, owner } of this.listeners) if (!owner?.gone) listener(key);
  },

  write() {
    const text = this.chosen.toString();
    history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
  },
};

addEventListener("hashchange", () => {
  view.chosen = new URLSearchParams(location.hash.slice(1));
  view.tell("");
});

// ---- light and dark -----------------------------------------------------------------------------------

const systemIsDark = matchMedia("(prefers-color-scheme: dark)");

let printing = false; // paper is light

function isDark() {
  if (printing) return false;
  const theme = view.get("theme");
  return theme === "dark" || (theme === "auto" && systemIsDark.matches);
}

function applyTheme() {
  const theme = printing ? "light" : view.get("theme");
  if (theme === "auto") document.documentElement.removeAttribute("data-theme");
  else document.documentElement.setAttribute("data-theme", theme);
}

systemIsDark.addEventListener("change", () => view.tell("theme"));

// Ink of the figures, by theme; the style sheet has the same.
const INK = {
  light: { text: "#1d2125", soft: "#5b636b", line: "#c9ced3", grid: "#e9ecef", back: "#ffffff" },
  dark: { text: "#e4e7ea", soft: "#a3acb4", line: "#454c53", grid: "#272c31", back: "#16191c" },
};
const ink = () => (isDark() ? INK.dark : INK.light);

function colourOf(normalizer, dark) {
  const known = normalizers.get(normalizer);
  return known ? (dark ? known.dark : known.colour) : "#888888";
}
