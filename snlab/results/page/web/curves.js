// ---- rows of curves: one row a comparison, one curve a normalizer -------------------------------------

const SECTIONS = {
  scores: {
    title: "Scores through training",
    text:
      "Each curve is the mean over a normalizer's seeds; where some have ended, that of the others goes on, " +
      "thinner. The band is as chosen above. A cross: a run that diverged, which counts as the worst score. " +
      "FID and KID: lower is better; the others: higher is.",
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

// A section of curves; null where no comparison has a panel of it.
function curveSection(id) {
  const { title, text, folded } = SECTIONS[id];
  if (!data.datasets.some(({ panels }) => panels.some((panel) => panel.section === id))) return null;
  const rows = rowsOf(id, (comparison, place) => {
    const groups = comparison.groups.map((i) => data.groups[i]);
    const panels = comparison.panels.filter(
      (panel) =>
        panel.section === id &&
        isLogged(
          groups.map((group) => readable(group, panel)),
          panel.name,
        ),
    );
    if (!panels.length) return null;
    const details = panels.filter((panel) => isDetail(panel, groups));
    const shown = panels.filter((panel) => !details.includes(panel));
    const charts = (those) => those.map((panel) => curveChart(id, place, panel));
    return () => [
      ...panelsOf(charts(shown), comparison),
      details.length ? unfolding(`${details.length} further panels`, () => panelsOf(charts(details))) : "",
    ];
  });
  return section(id, title, text, rows, folded);
}

// A group with the runs that a panel may be read from.
const readable = (group, { runs }) => ({ whole: group.whole.filter((run) => !runs || runs.includes(run)) });

// Whether a panel is shown on demand: a detail, and of a measure that was logged both before and after
// calibration the one that says less, which is that before it where a loss's logit is no log ratio.
function isDetail({ name, twin, detail }, groups) {
  if (detail || !twin) return Boolean(detail);
  const calibrated = name.startsWith(CALIBRATED) ? name : twin;
  const wanted = isLogged(
    groups.filter((group) => group.calibrated),
    calibrated,
  );
  return (name === calibrated) !== wanted;
}

const CALIBRATED = "ratio/calibrated/";

// What is made when it is unfolded, or printed.
function unfolding(title, make) {
  const details = h("details", { class: "folded" }, h("summary", {}, title));
  const build = () => (details.children.length === 1 ? details.append(...make()) : null);
  details.addEventListener("toggle", build);
  view.listen((key) => (key === "theme" && printing ? build() : null), details);
  if (printing) build();
  return details;
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

function curveChart(section, place, panel) {
  const comparison = comparisons[place];
  const id = `${section}.${place}.${panel.runs ? panel.title : panel.name}`;
  const runsOf = (group) => readable(group, panel).whole.filter(isShown);
  return new Chart({
    id,
    title: panel.title,
    row: `${section}.${place}`,
    fullTitle: () => `${panel.title}, ${comparison.title}`,
    setting: () => comparison.setting,
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
