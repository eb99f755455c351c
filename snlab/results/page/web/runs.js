// ---- every run: how it ended, on what it ran, how to repeat it ----------------------------------------

function runsSection() {
  const columns = [
    ["run", true],
    ["data set", true],
    ["normalizer", true],
    ["setting", true],
    ["seed", false],
    ["outcome", true],
    ["updates", false],
    ["seconds", false],
    ["identity", true],
  ].map(([title, left]) => ({ title, key: title, left }));
  if (!data.runs.some((_, run) => settingOf(run))) columns.splice(3, 1);
  const rows = data.runs.map((about, run) => runRow(about, run, columns));
  const skipped = data.skipped.length
    ? h(
        "div",
        { class: "skipped" },
        h("h3", {}, "Folders that could not be read"),
        h(
          "ul",
          {},
          data.skipped.map(({ name, folder, reason }) =>
            h("li", {}, h("code", { title: folder }, name), `: ${reason}`),
          ),
        ),
      )
    : null;
  const table = data.runs.length ? sortable("sort.runs", columns, rows, { label: "runs" }) : null;
  return section("runs", "Runs", "", [table, skipped]);
}

function runRow(about, run, columns) {
  const outcome = about.reason ? `${about.outcome}: ${about.reason}` : about.outcome;
  const seconds = about.seconds === null ? "" : about.seconds.toFixed(1);
  const all = {
    "data set": about.dataset,
    normalizer: labelOf(normalizerOf(run)),
    setting: settingOf(run),
    seed: about.seed,
    outcome: clipped(outcome),
    updates: about.step,
    seconds,
    identity: about.identity,
  };
  const sorts = { seconds: about.seconds, outcome };
  const more = h("tr", { class: "more", hidden: true });
  const toggle = h(
    "button",
    { type: "button", class: "open", "aria-expanded": "false", onclick: () => open() },
    clipped(about.name),
  );
  const open = () => {
    const now = more.hidden;
    more.hidden = !now;
    toggle.setAttribute("aria-expanded", String(now));
    if (now && !more.children.length)
      more.append(h("td", { colspan: columns.length }, runDetails(about, run)));
  };
  const row = {
    cells: columns.map(({ key }) =>
      key === "run"
        ? { content: toggle, sort: about.name }
        : { text: String(all[key] ?? ""), sort: sorts[key] ?? all[key] },
    ),
    below: more,
    hidden: () => {
      const hidden = !isShown(run);
      if (hidden) more.hidden = true;
      toggle.setAttribute("aria-expanded", String(!more.hidden));
      return hidden;
    },
  };
  return row;
}

function runDetails(about, run) {
  const line = (name, value) => (value ? [h("dt", {}, name), h("dd", {}, value)] : null);
  const versions = Object.entries(about.versions)
    .map(([name, version]) => `${name} ${version}`)
    .join(", ");
  const repeats = groupOf(run).runs.includes(run)
    ? ""
    : "left out of the comparison: the same trial with the same seed is in another folder";
  return h(
    "div",
    { class: "details" },
    h(
      "dl",
      {},
      line("name", about.name),
      line("repeat", about.command ? repeating(about.command) : ""),
      line(
        "outcome",
        [
          about.outcome,
          about.reason ? `: ${about.reason}` : "",
          `, ${about.step} of ${about.steps} updates`,
        ].join(""),
      ),
      line("begun", about.begun),
      line("ended", about.ended),
      line("time", about.seconds === null ? "" : `${about.seconds.toFixed(1)} s`),
      line("folder", h("code", {}, about.folder)),
      line("machine", [about.machine, about.device].filter(Boolean).join(", ")),
      line("versions", versions),
      line("commit", about.commit),
      line("W&B", about.wandb ? h("a", { href: about.wandb, rel: "noreferrer" }, about.wandb) : ""),
      line("note", repeats),
    ),
    data.lastSamples[run]
      ? h("img", { class: "grid", alt: "its last samples", src: data.lastSamples[run] })
      : null,
    h("details", {}, h("summary", {}, "Configuration"), h("pre", {}, about.config)),
  );
}

const repeating = (command) =>
  h("span", { class: "command" }, h("code", {}, command), copyButton(command));

function copyButton(text) {
  const one = button(
    "copy",
    async () => {
      try {
        await navigator.clipboard.writeText(text);
        one.textContent = "copied";
      } catch {
        one.textContent = "select and copy it"; // a browser that keeps the clipboard from files
      }
    },
    { class: "copy" },
  );
  return one;
}

function environmentSection() {
  if (!data.environment.length) return null;
  const rows = data.environment.map(({ name, values }) =>
    h(
      "tr",
      {},
      h("th", { scope: "row", class: "words" }, name),
      h("td", { class: "words" }, values.join(", ")),
    ),
  );
  return section(
    "environment",
    "Environment",
    "",
    h("div", { class: "wide" }, h("table", {}, h("tbody", {}, rows))),
  );
}
