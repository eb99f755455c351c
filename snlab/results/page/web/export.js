// ---- taking a panel along: SVG and PNG for papers, CSV for other programs -----------------------------

const EXPORT = { width: 480, height: 300 }; // pixels, as in a paper's column
const SCALE = 3; // of a PNG

function exportMenu(chart) {
  return saveMenu(
    () => fileName("snlab", chart.fullTitle?.() ?? chart.title, chart.setting?.() ?? ""),
    () => chart.vector(EXPORT),
    () => chart.csv(),
  );
}

// What a figure is called, is, and shows: each a function, asked when it is saved.
function saveMenu(name, picture, rows) {
  return menu(
    "⤓",
    [
      button("SVG", () => download(`${name()}.svg`, svgText(picture()), "image/svg+xml")),
      button("PNG", () => savePng(name(), picture())),
      button("CSV", () => download(`${name()}.csv`, csvText(rows()), "text/csv")),
    ],
    { class: "export tool-menu", title: "Save this panel" },
  );
}

function svgText(svg) {
  svg.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  return new XMLSerializer().serializeToString(svg);
}

function savePng(name, svg) {
  const image = new Image();
  const url = URL.createObjectURL(new Blob([svgText(svg)], { type: "image/svg+xml" }));
  image.onload = () => {
    const canvas = h("canvas", { width: SCALE * image.width, height: SCALE * image.height });
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    URL.revokeObjectURL(url);
    canvas.toBlob((blob) => download(`${name}.png`, blob, "image/png"));
  };
  image.src = url;
}

// Rows of cells as RFC 4180 has them, with line feeds.
function csvText(rows) {
  const cell = (value) => {
    const text = value === null || value === undefined ? "" : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return rows.map((row) => row.map(cell).join(",")).join("\n") + "\n";
}

// A float32 with the digits that it has.
const exact = (value) => Number(value.toPrecision(7));

// What curves show, one row a run, metric and update.
function curveRows(pairs) {
  const head = ["run", "normalizer", "seed", "metric", "generator_step", "value", "lowest", "highest"];
  const rows = [];
  for (const [run, name] of pairs) {
    const curve = curveOf(run, name);
    if (!curve) continue;
    const about = data.runs[run];
    curve.steps.forEach((step, i) =>
      rows.push([
        about.name,
        normalizerOf(run),
        about.seed,
        name,
        step,
        exact(curve.last[i]),
        exact(curve.low[i]),
        exact(curve.high[i]),
      ]),
    );
  }
  return [head, ...rows];
}
