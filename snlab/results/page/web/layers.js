// ---- σ of every layer: small multiples by normalizer or by layer --------------------------------------

const WORDS = ["exact", "estimated in training", "raw weight", "as a map on its input"];
const KIND_DASHES = [[], [1, 1.5], [4, 3], [6, 2, 1, 2]];
const KINDS = SIGMAS.map((kind, i) => [kind, WORDS[i], KIND_DASHES[i]]);
const FIRST_KINDS = new Set(["sigma/exact", "sigma/raw"]);

// From the input's side to the logit's: viridis, whose lightness keeps the order in grey print.
const DEPTHS = ["#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30"];
const DARK_DEPTHS = ["#9b6fb0", "#8a80c4", "#6f93cf", "#57abc9", "#4cc4b8", "#5cd39b", "#93e07f", "#d3ec66"];

function depthColour(depth, count) {
  const at = count > 1 ? depth / (count - 1) : 0;
  return (dark) => {
    const ramp = dark ? DARK_DEPTHS : DEPTHS;
    const place = at * (ramp.length - 1);
    const [a, b] = [ramp[Math.floor(place)], ramp[Math.ceil(place)]];
    return mixed(a, b, place % 1);
  };
}

function mixed(a, b, share) {
  const channel = (text, i) => parseInt(text.slice(i, i + 2), 16);
  const mix = [1, 3, 5].map((i) => Math.round(channel(a, i) * (1 - share) + channel(b, i) * share));
  return `#${mix.map((c) => c.toString(16).padStart(2, "0")).join("")}`;
}

const kindIsShown = (kind) => view.all("kind").has(kind) !== FIRST_KINDS.has(kind);

function sigmaSection() {
  if (!data.datasets.some(({ layers }) => layers.length)) return null;
  const rows = rowsOf("sigma", (comparison, place) =>
    comparison.layers.length ? () => sigmaPanels(comparison, place) : null,
  );
  const by = choice(
    "panels by",
    [
      ["normalizer", "normalizer"],
      ["layer", "layer"],
    ],
    view.get("sigma"),
    (value) => view.set("sigma", value),
  );
  const boxes = KINDS.map(([kind, label, dash]) => {
    const box = checkbox(label, kindIsShown(kind), () => view.toggle("kind", kind));
    box.prepend(lineMark(dash));
    view.listen((key) => (key === "" ? (box.querySelector("input").checked = kindIsShown(kind)) : null));
    return box;
  });
  view.listen((key) => (key === "" ? (by.querySelector("select").value = view.get("sigma")) : null));
  const text =
    "σ of each layer's weight as a matrix, by SVD, as in the paper; its estimate by power " +
    "iteration in training; and σ of the raw weight, on which the normalizer acts. For a dense " +
    "layer σ is the most by which it stretches a difference between two inputs. For a convolution " +
    "that is its norm as a map on its input, up to k/s times σ (rounded up) for a kernel k and " +
    "stride s.";
  return section("sigma", "Largest singular values", text, [h("div", { class: "options" }, by, boxes), rows]);
}

function sigmaPanels(comparison, place) {
  const panels = h("div", { class: "panels small" });
  const key = h("div", { class: "key" });
  const id = `sigma.${place}`;
  let made = "";
  const build = () => {
    const by = view.get("sigma");
    if (made === by) return;
    made = by;
    for (const old of panels.querySelectorAll("figure")) forget(old.chart);
    const found =
      by === "layer"
        ? comparison.layers.map((layer) => sigmaChart(comparison, id, layer, layer, null))
        : comparison.groups
            .map((i) => data.groups[i])
            .map((group) => {
              const { label, variant } = styleOf(group);
              const name = [group.normalizer, variant].filter(Boolean).join(", ");
              return sigmaChart(comparison, id, name, label, group);
            });
    panels.replaceChildren(...found.map((chart) => chart.element));
    showKey();
  };
  const variants = variantKey(comparison);
  const showKey = () => {
    key.replaceChildren(...(made === "layer" ? [] : layerKey(comparison)));
    if (variants) variants.hidden = made !== "layer";
  };
  const update = () => {
    for (const figure of panels.querySelectorAll("figure")) {
      const { group } = figure.chart;
      figure.hidden = Boolean(group) && !group.runs.some(isShown);
    }
  };
  view.listen((changed) => {
    if (changed === "" || changed === "sigma") build();
    if (changed === "" || changed === "sigma" || changed.startsWith("hide")) update();
    if (changed === "theme" || changed === "") showKey();
  }, panels);
  build();
  update();
  return [key, panels, variants].filter(Boolean);
}

function forget(chart) {
  chart.plot?.destroy();
  onScreen.unobserve(chart.element);
  resized.unobserve(chart.canvas);
  charts.splice(charts.indexOf(chart), 1);
}

const layerStyles = (comparison) =>
  comparison.layers.map((layer, depth) => ({
    label: layer,
    colour: depthColour(depth, comparison.layers.length),
    dash: plainDash,
  }));

const layerKey = (comparison) =>
  layerStyles(comparison).map(({ label, colour, dash }) =>
    h("span", { class: "entry" }, lineMark(dash, colour(isDark())), label),
  );

// What the line styles of an exported figure mean, where there are several.
function kindStyles() {
  const shown = KINDS.filter(([kind]) => kindIsShown(kind));
  if (shown.length < 2) return [];
  return shown.map(([, label, dash]) => ({
    label,
    dash,
    colour: (dark) => (dark ? INK.dark : INK.light).soft,
  }));
}

// One normalizer's layers, or one layer's normalizers.
function sigmaChart(comparison, rowId, what, title, group) {
  const id = `${rowId}.${what}`;
  const lines = () => {
    const kinds = KINDS.filter(([kind]) => kindIsShown(kind));
    if (group) {
      return kinds.flatMap(([kind, word, dash]) =>
        layerStyles(comparison).map((style) => ({
          runs: shownRuns(group),
          name: `${kind}/${style.label}`,
          kind,
          word,
          style: { ...style, dash },
        })),
      );
    }
    return kinds.flatMap(([kind, word, dash]) =>
      shownGroups(comparison).map((g) => {
        const style = styleOf(g);
        return {
          runs: shownRuns(g),
          name: `${kind}/${what}`,
          kind,
          word,
          style: { ...style, dash: kind === "sigma/exact" ? style.dash : dash },
        };
      }),
    );
  };
  return new Chart({
    id,
    title,
    group,
    row: rowId,
    yLabel: group ? "σ" : `σ of ${what}`,
    fullTitle: () => `σ, ${title}, ${comparison.title}`,
    setting: () => comparison.setting,
    legend: () => [...(group ? layerStyles(comparison) : legendOf(comparison)), ...kindStyles()],
    csv: () => curveRows(lines().flatMap(({ runs, name }) => runs.map((run) => [run, name]))),
    drawing: () => {
      const drawn = drawing({ title, xLabel: xLabelNow(), xRange: lengthOf(comparison), optimum: 1 });
      for (const { runs, name, kind, word, style } of lines()) {
        const exact = kind === "sigma/exact";
        const label = exact ? style.label : `${style.label}, ${word}`;
        seedLines(
          drawn,
          runs,
          name,
          { ...style, label, width: exact ? 1.8 : 1.1 },
          exact ? {} : { single: false },
        );
      }
      drawn.kind = axisKind(allValues(drawn), true, view.all("flip").has(id));
      if (group && drawn.kind !== "linear") drawn.yRange = sigmaRange(comparison, drawn.kind);
      drawn.absent = absent(drawn);
      return drawn;
    },
  });
}

// One axis for all normalizers of a row.
function sigmaRange(comparison, kind) {
  const names = KINDS.filter(([name]) => kindIsShown(name)).flatMap(([name]) =>
    comparison.layers.map((layer) => `${name}/${layer}`),
  );
  return rangeOf(comparison, names, kind, [1]);
}
