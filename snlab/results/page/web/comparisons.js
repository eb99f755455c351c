// ---- what is compared: groups of one data set that agree in the options that the reader chooses --------

// Options that make lines, not rows, until the reader says so: a method of the papers is a normalizer and a loss.
const LINES_AT_FIRST = ["loss"];
const optionNames = data.options.map(({ name }) => name);
const withinAtFirst = optionNames.filter((name) => !LINES_AT_FIRST.includes(name));
const NONE = "-"; // of a fragment, where no option is chosen

// The options of which every value has rows of its own.
function within() {
  if (!view.has("within")) return withinAtFirst;
  const chosen = view.all("within");
  return optionNames.filter((name) => chosen.has(name));
}

function setWithin(names) {
  // Rows are known by their places, which mean others now.
  for (const prefix of ["zoom.", "flip", "open"]) view.clear(prefix);
  const atFirst =
    names.length === withinAtFirst.length && names.every((name) => withinAtFirst.includes(name));
  view.setAll("within", atFirst ? [] : names.length ? names : [NONE]);
}

// A group's values of these options, as [option, value] pairs.
const valuesOf = (group, names) =>
  data.options
    .filter(({ name }) => names.includes(name))
    .flatMap(({ keys }) =>
      keys.filter((key) => key in group.options).map((key) => [key, group.options[key]]),
    );

const said = (values) => values.map(([key, value]) => `${key}=${value}`).join(", ");

const placeOf = (group) => data.normalizers.findIndex(({ name }) => name === group.normalizer);

function compared() {
  const chosen = within();
  return data.datasets.flatMap((dataset, at) => {
    const found = new Map();
    for (const place of dataset.groups) {
      const key = said(valuesOf(data.groups[place], chosen));
      found.set(key, [...(found.get(key) ?? []), place]);
    }
    const inOrder = (a, b) => placeOf(data.groups[a]) - placeOf(data.groups[b]);
    const rows = [...found.values()].map((groups) => comparisonOf(dataset, at, groups.sort(inOrder), chosen));
    return rows.sort((a, b) => (a.letter ?? "zz").localeCompare(b.letter ?? "zz"));
  });
}

// {at (its data set's place), dataset, title, setting, letter, groups (places), panels, layers, styles}.
function comparisonOf(dataset, at, places, chosen) {
  const groups = places.map((place) => data.groups[place]);
  const open = optionNames.filter((name) => !chosen.includes(name));
  const isShared = ([key, value]) => groups.every((group) => group.options[key] === value);
  // What all have in common is said above, whether rows are split by it or not.
  const values = [...valuesOf(groups[0], chosen), ...valuesOf(groups[0], open).filter(isShared)];
  const letter = letterOf(groups, values);
  const rest = said(letter ? values.filter(([key]) => !isOfLetter(key)) : values);
  const letters = letter ? `setting ${letter} (${data.letters[letter]})` : "";
  return {
    at,
    dataset: dataset.name,
    groups: places,
    title: headline(dataset.label, groups),
    letter,
    setting: [letters, rest].filter(Boolean).join(", "),
    panels: dataset.panels,
    layers: dataset.layers.filter((layer) => SIGMAS.some((kind) => isLogged(groups, `${kind}/${layer}`))),
    styles: stylesOf(groups, open, linesOf(dataset, open)),
  };
}

const isLogged = (groups, name) =>
  groups.some((group) => group.whole.some((run) => data.runs[run].curves?.[name]));

// What a letter of the paper's settings says.
const isOfLetter = (key) => /^(adam|generator_adam)\.|^(n_dis|generator_adam)$/.test(key);

// The letter that stands for what these groups have in common; null where it would not say what sets them apart.
function letterOf(groups, values) {
  const { letter } = groups[0];
  const told = values.some(([key]) => isOfLetter(key)) && groups.every((group) => group.letter === letter);
  return (told && letter) || null;
}

// "digits, seeds 0 and 1".
function headline(dataset, groups) {
  const seeds = unionOf(groups.map((group) => group.runs.map((run) => data.runs[run].seed)));
  if (seeds.length > 6) return `${dataset}, ${seeds.length} seeds`;
  const head = seeds.slice(0, -1).join(", ");
  return head ? `${dataset}, seeds ${head} and ${seeds.at(-1)}` : `${dataset}, seed ${seeds[0]}`;
}

// ---- how the lines of one panel are told apart --------------------------------------------------------

// Of a normalizer's further lines, beside its own dash: lengths in line widths.
const DASHES = [
  [4, 1.5],
  [1.5, 1.2],
  [5, 1.2, 1, 1.2],
  [3, 3],
  [1, 2.5],
  [5, 1.2, 1, 1.2, 1, 1.2],
];

// What makes lines in a data set, the most frequent first: the same everywhere on the page.
function linesOf(dataset, open) {
  const found = dataset.groups.map((place) => said(valuesOf(data.groups[place], open)));
  const count = (text) => found.filter((other) => other === text).length;
  return [...new Set(found)].sort((a, b) => count(b) - count(a));
}

// Of each group its normalizer's colour and, where an option makes further lines, a dash and words for its value.
function stylesOf(groups, open, lines) {
  const values = groups.map((group) => new Map(valuesOf(group, open)));
  const keys = [...new Set(values.flatMap((own) => [...own.keys()]))].filter(
    (key) => new Set(values.map((own) => own.get(key))).size > 1,
  );
  const texts = values.map((own) =>
    keys.map((key) => (key === "loss" ? own.get(key) : `${key}=${own.get(key) ?? "–"}`)).join(", "),
  );
  const taken = new Set();
  return new Map(
    groups.map((group, i) => {
      const known = normalizers.get(group.normalizer);
      const dashes = [known.dash, ...DASHES];
      const wanted = texts[i] ? lines.indexOf(said(valuesOf(group, open))) : 0;
      const turns = dashes.map((_, turn) => dashes[(wanted + turn) % dashes.length]);
      const mark = (dash) => `${known.colour} ${dash}`;
      const dash = turns.find((one) => !taken.has(mark(one))) ?? turns[0];
      taken.add(mark(dash));
      return [
        group,
        {
          colour: (dark) => (dark ? known.dark : known.colour),
          dash,
          label: texts[i] ? `${known.label}, ${texts[i]}` : known.label,
          variant: texts[i],
        },
      ];
    }),
  );
}

let comparisons = compared();

const styleOf = (group) => comparisons.find(({ styles }) => styles.has(group)).styles.get(group);

const isOf = (comparison, run) => comparison.groups.includes(data.runs[run].group);

const legendOf = (comparison) => shownGroups(comparison).map(styleOf);

let comparedWithin = String(within());
view.listen((key) => {
  if (!["", "within"].includes(key) || String(within()) === comparedWithin) return;
  comparedWithin = String(within());
  comparisons = compared();
});

// ---- rows: one a comparison, made anew when the reader compares otherwise -----------------------------

const MOST_OPEN = 4; // rows of a section that stand open at first; of more, the first of each data set

// make(comparison, place) -> null where it has nothing to show, else a function that makes what stands below
// the row's heading, called when that is opened first.
function rowsOf(id, make) {
  const holder = h("div", { class: "rows" });
  let made = null;
  const build = () => {
    if (made === comparisons) return;
    made = comparisons;
    for (const old of holder.querySelectorAll("*")) {
      old.gone = true;
      if (old.chart && old.matches("figure")) forget(old.chart);
    }
    const found = comparisons
      .map((comparison, place) => ({ comparison, place, fill: make(comparison, place) }))
      .filter(({ fill }) => fill);
    const first = (i) => i === 0 || found[i - 1].comparison.at !== found[i].comparison.at;
    const rows = found.map(({ place, fill }, i) =>
      row(id, place, fill, found.length > MOST_OPEN ? { folds: true, open: first(i) } : { open: true }),
    );
    holder.replaceChildren(...rows);
  };
  view.listen((key) => (["", "within"].includes(key) ? build() : null));
  build();
  return holder;
}

// What stands side by side, under what it has in common.
function row(id, place, fill, { folds = false, open: atFirst }) {
  const comparison = comparisons[place];
  const name = `${id}.${place}`;
  const key = `zoom.${name}`;
  const reset = button("Whole length", () => view.set(key, ""), { class: "reset" });
  const body = h("div", { class: "body" });
  const head = folds
    ? button(comparison.title, () => view.toggle("open", name), { class: "open" })
    : h("span", {}, comparison.title);
  const element = h(
    "div",
    { class: "row", "data-comparison": place },
    h("h3", {}, head, comparison.setting ? h("small", {}, comparison.setting) : null, reset),
    body,
  );
  const update = () => {
    const chosen = view.get("rows") === "open" || view.all("open").has(name) !== atFirst;
    const open = printing || !folds || chosen;
    element.hidden = shownGroups(comparison).length === 0;
    reset.hidden = !open || !view.get(key);
    body.hidden = !open;
    if (folds) head.setAttribute("aria-expanded", String(open));
    if (open && !body.children.length) body.append(...fill());
  };
  view.listen((changed) => {
    if (["", "open", "rows", "theme", key].includes(changed) || changed.startsWith("hide")) update();
  }, element);
  update();
  return element;
}

// Panels side by side and, where their lines are not those of the page's legend, what each is.
const panelsOf = (charts, comparison) =>
  [
    h(
      "div",
      { class: "panels" },
      charts.map(({ element }) => element),
    ),
    comparison ? variantKey(comparison) : null,
  ].filter(Boolean);

function variantKey(comparison) {
  if (![...comparison.styles.values()].some(({ variant }) => variant)) return null;
  const key = h("div", { class: "key" });
  const update = () =>
    key.replaceChildren(
      ...legendOf(comparison).map(({ label, colour, dash }) =>
        h("span", { class: "entry" }, lineMark(dash, colour(isDark())), label),
      ),
    );
  view.listen((key) => (key === "" || key === "theme" || key.startsWith("hide") ? update() : null), key);
  update();
  return key;
}

// ---- the choice ---------------------------------------------------------------------------------------

function withinMenu() {
  if (!optionNames.length) return null;
  const boxes = data.options.map(({ name, keys }) => {
    const parts = keys.map((key) => key.slice(name.length + 1)).filter(Boolean);
    const box = checkbox(parts.length ? `${name} (${parts.join(", ")})` : name, false, (on) =>
      setWithin(optionNames.filter((other) => (other === name ? on : within().includes(other)))),
    );
    box.update = () => {
      box.querySelector("input").checked = within().includes(name);
    };
    return box;
  });
  const all = checkbox("all rows open", false, (on) => view.set("rows", on ? "open" : ""));
  const update = () => {
    for (const box of boxes) box.update();
    all.querySelector("input").checked = view.get("rows") === "open";
  };
  view.listen((key) => (["", "within", "rows"].includes(key) ? update() : null));
  update();
  const how =
    "Runs that differ in an option that is ticked stand in rows of their own; in one that is not, as lines " +
    "of their own in one panel. Tables compare within every option.";
  return menu("Compare within", [h("p", { class: "how" }, how), boxes, all], { class: "within" });
}
