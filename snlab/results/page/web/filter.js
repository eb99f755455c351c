// ---- which runs are shown -----------------------------------------------------------------------------

const groupOf = (run) => data.groups[data.runs[run].group];
const normalizerOf = (run) => groupOf(run).normalizer;
const settingOf = (run) => groupOf(run).setting;
const labelOf = (normalizer) => normalizers.get(normalizer).label;

const FACETS = {
  dataset: { title: "Data set", of: (run) => data.runs[run].dataset },
  network: { title: "Network", of: (run) => data.runs[run].network },
  normalizer: { title: "Normalizer", of: normalizerOf, label: labelOf },
  setting: { title: "Setting", of: settingOf, label: (setting) => setting || "(the only one)" },
  seed: { title: "Seed", of: (run) => String(data.runs[run].seed) },
  outcome: { title: "Outcome", of: (run) => data.runs[run].outcome },
};

for (const facet of Object.values(FACETS)) {
  facet.values = [...new Set(data.runs.map((_, run) => facet.of(run)))];
}
FACETS.normalizer.values = data.normalizers.map((normalizer) => normalizer.name);
FACETS.seed.values.sort((a, b) => Number(a) - Number(b));

const isHidden = (facet, value) => view.all(`hide.${facet}`).has(value);

// Whether the filter lets a run be seen.
function isShown(run) {
  return Object.entries(FACETS).every(([name, facet]) => !isHidden(name, facet.of(run)));
}

// The runs of a group that can be drawn and are shown.
const shownRuns = (group) => group.whole.filter(isShown);

// The groups of a comparison of which any run is shown.
const shownGroups = (comparison) =>
  comparison.groups.map((i) => data.groups[i]).filter((group) => group.runs.some(isShown));

// Values that a panel of checkboxes lets be hidden, one list a facet.
function filterMenu() {
  const lists = Object.entries(FACETS)
    .filter(([, facet]) => facet.values.length > 1)
    .map(([name, facet]) => {
      const boxes = facet.values.map((value) => {
        const box = checkbox(facet.label?.(value) ?? value, !isHidden(name, value), () =>
          view.toggle(`hide.${name}`, value),
        );
        box.update = () => {
          box.querySelector("input").checked = !isHidden(name, value);
        };
        return box;
      });
      view.listen((key) =>
        key === "" || key.startsWith("hide") ? boxes.forEach((box) => box.update()) : null,
      );
      return h(
        "fieldset",
        { "data-facet": name },
        h("legend", {}, facet.title),
        h(
          "div",
          { class: "both" },
          button("all", () => view.setAll(`hide.${name}`, [])),
          button("none", () => view.setAll(`hide.${name}`, facet.values)),
        ),
        h("div", { class: "boxes" }, boxes),
      );
    });
  const reset = button("Show everything", () => view.clear("hide."), { class: "wide" });
  const found = menu("Filter", lists.length ? [lists, reset] : "every run is of one kind", {
    class: "filter",
  });
  const summary = found.querySelector("summary");
  const count = () => {
    const hidden = data.runs.filter((_, run) => !isShown(run)).length;
    summary.textContent = hidden
      ? `Filter (${data.runs.length - hidden} of ${data.runs.length} runs)`
      : "Filter";
  };
  view.listen((key) => (key === "" || key.startsWith("hide") ? count() : null));
  count();
  return found;
}

// The legend of the whole page: a click shows or hides a normalizer in every panel; with Alt, all others.
function legend() {
  const entries = data.normalizers.map(({ name, label, dash }) => {
    const entry = h(
      "button",
      {
        type: "button",
        class: "entry",
        "data-normalizer": name,
        title: "Show or hide; Alt and click: this one alone",
        onclick: (event) => {
          if (!event.altKey) return view.toggle("hide.normalizer", name);
          const others = data.normalizers
            .map((normalizer) => normalizer.name)
            .filter((other) => other !== name);
          const alone = others.every((other) => isHidden("normalizer", other));
          return view.setAll("hide.normalizer", alone ? [] : others);
        },
      },
      lineMark(dash),
      h("span", {}, clipped(label)),
    );
    entry.update = () => {
      entry.setAttribute("aria-pressed", String(!isHidden("normalizer", name)));
      entry.querySelector("line").setAttribute("stroke", colourOf(name, isDark()));
    };
    return entry;
  });
  const update = () => entries.forEach((entry) => entry.update());
  view.listen((key) => (key === "" || key.startsWith("hide") || key === "theme" ? update() : null));
  update();
  return h("div", { class: "legend", role: "group", "aria-label": "Normalizers" }, entries);
}
