// ---- the page -----------------------------------------------------------------------------------------

const page = document.getElementById("page");

function controls() {
  const boxes = [];
  const bound = (key, element, apply) => {
    boxes.push(() => apply(view.get(key)));
    return element;
  };
  const select = (key, label, choices) => {
    const element = choice(label, choices, view.get(key), (value) => view.set(key, value));
    return bound(key, element, (value) => {
      element.querySelector("select").value = value;
    });
  };
  const runs = checkbox("single runs", view.get("runs") === "1", (on) => view.set("runs", on ? "1" : ""));
  const smooth = h("input", {
    type: "range",
    min: 0,
    max: 0.99,
    step: 0.01,
    value: view.get("smooth"),
    "aria-label": "smoothing",
    oninput: () => view.set("smooth", String(Number(smooth.value))),
  });
  view.listen((key) => (key === "" ? boxes.forEach((update) => update()) : null));
  return menu(
    "View",
    [
      select("band", "band", [
        ["range", "lowest to highest"],
        ["interval", "95 % interval"],
        ["none", "none"],
      ]),
      bound("runs", runs, (value) => {
        runs.querySelector("input").checked = value === "1";
      }),
      select("x", "x axis", [
        ["updates", "generator updates"],
        ["time", "wall time"],
      ]),
      select("axis", "y axes", [
        ["auto", "as fits each"],
        ["log", "logarithmic"],
        ["linear", "linear"],
      ]),
      h(
        "label",
        { class: "choice" },
        h("span", {}, "smoothing"),
        bound("smooth", smooth, (value) => {
          smooth.value = value;
        }),
      ),
      select("theme", "colours", [
        ["auto", "as the system"],
        ["light", "light"],
        ["dark", "dark"],
      ]),
      button("Reset the view", () => view.clear(""), { class: "wide" }),
    ],
    { class: "view" },
  );
}

function head() {
  return h(
    "header",
    {},
    h("h1", {}, "Normalizers compared"),
    h("p", { class: "lead" }, clipped(data.lead, 600)),
  );
}

function findingsSection() {
  const told = data.findings.map((text) =>
    h("p", { class: "finding" }, text.replaceAll(" ± ", "\u00a0±\u00a0")),
  );
  return told.length ? section("findings", "Findings", "", h("div", { class: "findings" }, told)) : null;
}

function notesSection() {
  if (!data.notes.length) return null;
  return section(
    "notes",
    "About this page",
    "",
    h(
      "ul",
      { class: "notes" },
      data.notes.map((note) => h("li", {}, `${note}.`)),
    ),
  );
}

function contents(sections) {
  return h(
    "nav",
    { "aria-label": "Sections" },
    sections.map((part) =>
      h(
        "a",
        {
          href: `#at=${part.id}`,
          onclick: (event) => {
            // the fragment is the view's
            event.preventDefault();
            goTo(part);
          },
        },
        part.querySelector("h2").textContent,
      ),
    ),
  );
}

function goTo(part) {
  for (const folded of part.querySelectorAll("details.folded")) folded.open = true;
  part.scrollIntoView();
  part.setAttribute("tabindex", "-1");
  part.focus({ preventScroll: true });
}

function build() {
  applyTheme();
  const sections = [
    findingsSection(),
    samplesSection(),
    curveSection("scores"),
    barsSection(),
    comparisonSection(),
    sigmaSection(),
    curveSection("ratio"),
    curveSection("lipschitz"),
    spectraSection(),
    curveSection("cost"),
    curveSection("other"),
    differencesSection(),
    runsSection(),
    environmentSection(),
    notesSection(),
  ].filter(Boolean);
  const bar = h("div", { class: "bar" }, legend(), h("div", { class: "menus" }, filterMenu(), withinMenu(), controls()));
  page.append(head(), contents(sections), data.runs.length ? bar : "", ...sections);
  // What stands below the bar starts where it ends, however many lines its legend takes.
  new ResizeObserver(() => {
    document.documentElement.style.setProperty("--bar", `${bar.offsetHeight}px`);
  }).observe(bar);
}

const REDRAWS = /^(|hide.*|band|runs|x|smooth|axis|theme|sigma|kind|flip)$/;

view.listen((key) => {
  if (key === "" || key === "theme") applyTheme();
  for (const chart of charts) {
    const own =
      key === chart.follows || key === chart.zoomKey || (key.startsWith("zoom") && !view.has("zoom"));
    if (REDRAWS.test(key) || own) chart.refresh();
  }
});

// ---- print: every figure as SVG on white, everything unfolded, tables cut between their groups of columns 

let before = [];

addEventListener("beforeprint", () => {
  printing = true;
  view.tell("theme");
  before = [...document.querySelectorAll("details.folded, details.gallery")].map((details) => [
    details,
    details.open,
  ]);
  for (const [details] of before) details.open = true;
  for (const figure of document.querySelectorAll("figure.panel")) {
    const { chart } = figure;
    const drawn = chart.drawing();
    if (isEmpty(drawn)) continue;
    figure.append(
      h("div", { class: "printed" }, chart.vector({ width: 680, height: 160, title: "", legend: [] })),
    );
  }
  for (const element of document.querySelectorAll(".row")) {
    const comparison = comparisons[element.dataset.comparison];
    if (element.querySelector(".key > .entry, .tiles")) continue; // lines are layers; tiles have their names
    element.querySelector("h3").after(h("div", { class: "printed key" }, printedKey(comparison)));
  }
  for (const table of document.querySelectorAll(".comparison")) table.print();
});

addEventListener("afterprint", () => {
  printing = false;
  view.tell("theme");
  for (const [details, open] of before) details.open = open;
  for (const printed of document.querySelectorAll("figure.panel > .printed, .row > .printed"))
    printed.remove();
  for (const printed of document.querySelectorAll(".comparison > .printed")) printed.replaceChildren();
});

function printedKey(comparison) {
  return legendOf(comparison).map(({ label, colour, dash }) =>
    h("span", { class: "entry" }, lineMark(dash, colour(false)), label),
  );
}

build();
document.documentElement.dataset.ready = "true";
