// ---- spectra of the layers, at the update that the slider says ----------------------------------------

// A slider over updates; "" in the view is the last one.
function slider(key, steps, label) {
  const input = h("input", {
    type: "range",
    min: 0,
    max: steps.length - 1,
    disabled: steps.length === 1,
    step: 1,
    "aria-label": label,
    oninput: () => view.set(key, Number(input.value) === steps.length - 1 ? "" : String(steps[input.value])),
  });
  const output = h("output", {});
  const update = () => {
    const step = chosenStep(key, steps);
    input.value = steps.indexOf(step);
    output.textContent = `update ${step}`;
    input.setAttribute("aria-valuetext", `update ${step}`);
  };
  view.listen((changed) => (changed === "" || changed === key ? update() : null));
  update();
  return h("div", { class: "slider", "data-slider": key }, h("span", {}, label), input, output);
}

// The last of the steps that is not beyond the chosen one.
function chosenStep(key, steps) {
  const chosen = view.get(key);
  return chosen === "" ? steps.at(-1) : (steps.findLast((step) => step <= Number(chosen)) ?? steps[0]);
}

function spectraSection() {
  const found = data.spectra.map((layers) => Object.entries(layers).filter(([, runs]) => runs.length));
  const steps = unionOf(
    found.flatMap((layers) => layers.flatMap(([, runs]) => runs.map((run) => run.steps))),
  );
  if (!steps.length) return null;
  const rows = rowsOf("spectra", (comparison, place) => {
    const layers = found[comparison.at]
      .map(([layer, runs]) => [layer, runs.filter(({ run }) => isOf(comparison, run))])
      .filter(([, runs]) => runs.length);
    return layers.length
      ? () =>
          panelsOf(
            layers.map(([layer, runs]) => spectrumChart(place, layer, runs, steps)),
            comparison,
          )
      : null;
  });
  const text =
    "All singular values of each layer, squared and scaled to the largest. A curve that falls at " +
    "once is a layer that sees few directions of its input; a flat one uses many.";
  return section("spectra", "Spectra", text, [slider("at.spectra", steps, "Spectra at"), rows]);
}

function spectrumChart(place, layer, runs, steps) {
  const comparison = comparisons[place];
  const id = `spectra.${place}.${layer}`;
  const shown = () => runs.filter(({ run }) => isShown(run));
  return new Chart({
    id,
    title: layer,
    row: `spectra.${place}`,
    follows: "at.spectra",
    yLabel: "squared singular values over the largest",
    fullTitle: () => `${layer}, update ${chosenStep("at.spectra", steps)}, ${comparison.title}`,
    setting: () => comparison.setting,
    legend: () => legendOf(comparison),
    csv: () => [
      ["run", "normalizer", "seed", "layer", "generator_step", "index", "squared_over_largest"],
      ...shown().flatMap((entry) =>
        entry.steps.flatMap((step, i) =>
          Array.from(spectrumAt(entry, i), (value, k) => [
            data.runs[entry.run].name,
            normalizerOf(entry.run),
            data.runs[entry.run].seed,
            layer,
            step,
            entry.places[k],
            exact(value),
          ]),
        ),
      ),
    ],
    drawing: () => {
      const step = chosenStep("at.spectra", steps);
      const drawn = drawing({ title: layer, xLabel: "index of the singular value" });
      for (const group of shownGroups(comparison)) {
        spectrumLines(
          drawn,
          shown().filter(({ run }) => groupOf(run) === group),
          step,
          styleOf(group),
        );
      }
      drawn.kind = axisKind(allValues(drawn), false, view.all("flip").has(id));
      if (drawn.kind === "linear") drawn.yRange = [0, 1.04];
      drawn.absent = "no run that is shown logged this";
      return drawn;
    },
  });
}

function spectrumAt(entry, index) {
  entry.decoded ??= floats(entry.values);
  const count = entry.places.length;
  return entry.decoded.subarray(index * count, (index + 1) * count);
}

// Each run's spectrum at the step or the last one before it, as far as it came; their mean where they are
// alike.
function spectrumLines(drawn, entries, step, { colour, dash, label }) {
  const found = entries
    .map((entry) => ({ entry, index: entry.steps.findLastIndex((known) => known <= step) }))
    .filter(({ index }) => index >= 0)
    .map(({ entry, index }) => ({ entry, ys: spectrumAt(entry, index) }));
  if (!found.length) return;
  const xs = found[0].entry.places;
  const alike = found.every(({ entry }) => same(entry.places, xs));
  if (!alike || view.get("runs") === "1") {
    for (const { entry, ys } of found) {
      const run = data.runs[entry.run];
      drawn.lines.push({
        xs: entry.places,
        ys,
        colour,
        dash,
        width: 1,
        alpha: 0.6,
        label: `${label}, seed ${run.seed}`,
        quiet: alike,
      });
    }
  }
  if (!alike) return;
  const over = (pick) => Float64Array.from(xs, (_, i) => pick(found.map(({ ys }) => ys[i])));
  const mean = over((values) => values.reduce((sum, value) => sum + value, 0) / values.length);
  const [low, high] = [over((values) => Math.min(...values)), over((values) => Math.max(...values))];
  if (found.length > 1 && view.get("band") !== "none")
    drawn.bands.push({ xs, low, high, colour, alpha: 0.15 });
  drawn.lines.push({
    xs,
    ys: mean,
    colour,
    dash,
    width: 2,
    alpha: 1,
    label,
    values: { low, high, counts: xs.map(() => found.length), of: found.length, wide: found.length > 1 },
  });
}
