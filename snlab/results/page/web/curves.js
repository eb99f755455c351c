// ---- rows of panels: one row a comparison, one curve a normalizer -------------------------------------

const SECTIONS = {
  scores: {
    title: "Scores through training",
    text:
      "Each curve is the mean over a normalizer's seeds, as far as every seed reaches; the band is " +
      "as chosen above. A cross: a run that diverged, which counts as the worst score. FID and " +
      "KID: lower is better; the others: higher is.",
  },
  ratio: {
    title: "Density ratio",
    text:
      "How the discriminator's logit, read as the log of the density ratio q/p of real to " +
      "generated data, fares on a fixed probe. Dotted: the value at the optimum. A saturated " +
      "discriminator tells all real from all generated, and then teaches the generator little. " +
      "Error from and correlation with the true log q/p are shown where both densities are known.",
  },
  lipschitz: {
    title: "Lipschitz constants",
    text:
      "The bound from the layers' norms as maps on their input, beside the largest gradient of the " +
      "logit that was found on real, generated and interpolated points: the constant lies between " +
      "the two. Both have one axis.",
  },
  cost: { title: "Losses and cost", text: "What training minimised, and how fast it went." },
  other: { title: "Everything else that was logged", text: "", folded: true },
};

const plainDash = [];

function styleOf(group) {
  const known = normalizers.get(group.normalizer);
  return { colour: (dark) => (dark ? known.dark : known.colour), dash: known.dash, label: known.label };
}

const legendOf = (comparison) => shownGroups(comparison).map(styleOf);

// A section of curves; null where no comparison has a panel of it.
function curveSection(id) {
  const { title, text, folded } = SECTIONS[id];
  const rows = data.comparisons
    .map((comparison, place) => {
      const panels = comparison.panels.filter((panel) => panel.section === id);
      return panels.length
        ? row(
            id,
            place,
            panels.map((panel) => curveChart(id, place, panel)),
          )
        : null;
    })
    .filter(Boolean);
  return rows.length ? section(id, title, text, rows, folded) : null;
}

function section(id, title, text, content, folded = false) {
  const head = [h("h2", {}, title), text ? h("p", { class: "how" }, text) : null];
  if (!folded) return h("section", { id }, head, content);
  return h(
    "section",
    { id },
    h("details", { class: "folded" }, h("summary", {}, h("h2", {}, title)), content),
  );
}

// Panels of one comparison side by side, under what they have in common.
function row(id, place, panels, comparison = data.comparisons[place]) {
  const key = `zoom.${id}.${place}`;
  const reset = button("Whole length", () => view.set(key, ""), { class: "reset" });
  const element = h(
    "div",
    { class: "row", "data-comparison": place },
    h(
      "h3",
      {},
      h("span", {}, comparison.title),
      comparison.setting ? h("small", {}, comparison.setting) : null,
      reset,
    ),
    h(
      "div",
      { class: "panels" },
      panels.map((panel) => panel.element),
    ),
  );
  const update = () => {
    element.hidden = shownGroups(comparison).length === 0;
    reset.hidden = !view.get(key);
  };
  view.listen((changed) =>
    changed === "" || changed.startsWith("hide") || changed === key ? update() : null,
  );
  update();
  return element;
}

function curveChart(section, place, panel) {
  const comparison = data.comparisons[place];
  const id = `${section}.${place}.${panel.runs ? panel.title : panel.name}`;
  const runsOf = (group) => shownRuns(group).filter((run) => !panel.runs || panel.runs.includes(run));
  return new Chart({
    id,
    title: panel.title,
    row: `${section}.${place}`,
    fullTitle: () => `${panel.title}, ${comparison.title}`,
    legend: () => legendOf(comparison),
    csv: () =>
      curveRows(shownGroups(comparison).flatMap((group) => runsOf(group).map((run) => [run, panel.name]))),
    drawing: () => {
      const drawn = drawing({
        title: panel.title,
        xLabel: xLabelNow(),
        xRange: lengthOf(comparison),
        optimum: panel.optimum ?? null,
      });
      for (const group of shownGroups(comparison))
        seedLines(drawn, runsOf(group), panel.name, styleOf(group));
      setKind(drawn, panel, id);
      if (section === "lipschitz") shareAxis(drawn, comparison);
      drawn.absent = absent(drawn);
      return drawn;
    },
  });
}

const SPIKE = 30; // beyond, a linear axis of a density ratio would show one spike and nothing else

function setKind(drawn, panel, id) {
  const values = allValues(drawn);
  const spiky = panel.section === "ratio" && values.some((value) => Math.abs(value) > SPIKE);
  drawn.kind = axisKind(values, Boolean(panel.log) || spiky, view.all("flip").has(id));
}

function allValues(drawn) {
  return drawn.lines.flatMap((line) => Array.from(line.ys)).filter(Number.isFinite);
}

// The bound and the gradients on one axis, so that their distance can be read off.
function shareAxis(drawn, comparison) {
  if (drawn.kind !== "log") return;
  const names = comparison.panels.filter((panel) => panel.section === "lipschitz").map((panel) => panel.name);
  drawn.yRange = rangeOf(comparison, names, "log");
}

// The ends of an axis that holds all shown runs' values under these names, and these values; undefined for
// none.
function rangeOf(comparison, names, kind, values = []) {
  let [low, high] = [Infinity, -Infinity];
  const take = (value) => {
    if (kind === "log" && !(value > 0)) return;
    low = Math.min(low, value);
    high = Math.max(high, value);
  };
  for (const run of shownGroups(comparison).flatMap(shownRuns)) {
    for (const name of names) {
      const curve = curveOf(run, name);
      curve?.low.forEach(take);
      if (curve?.thinned) curve.high.forEach(take);
    }
  }
  values.forEach(take);
  return low <= high ? padded(low, high, kind) : undefined;
}

function absent(drawn) {
  if (drawn.lines.length)
    return view.get("x") === "time" ? "no run here logged its speed" : "no update that all seeds share";
  return "no run that is shown logged this";
}
