// ---- one panel on the screen --------------------------------------------------------------------------

const charts = [];
const HEIGHT = 230;

const onScreen = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) {
      const chart = entry.target.chart;
      chart.seen = entry.isIntersecting;
      if (chart.seen && chart.stale) chart.draw();
    }
  },
  { rootMargin: "300px" },
);

const resized = new ResizeObserver((entries) => {
  for (const entry of entries) entry.target.chart.fit();
});

// A panel with its title, its buttons and, as soon as it comes near the screen, its curves.
//
// what: {id, title, row (panels of one row share their zoom), drawing() -> a drawing, csv() -> rows of cells;
// of an exported figure fullTitle(), setting(), yLabel and legend() -> entries}.
class Chart {
  constructor(what) {
    Object.assign(this, what);
    this.stale = true;
    this.seen = false;
    this.plot = null;
    this.tip = h("div", { class: "tip", "aria-live": "polite" });
    this.empty = h("p", { class: "absent" });
    this.canvas = h("div", {
      class: "plot",
      tabindex: 0,
      role: "group",
      "aria-label": `${this.title}: figure; arrow keys read values`,
      onkeydown: (event) => this.key(event),
      onblur: () => this.leave(),
    });
    this.canvas.chart = this;
    this.axisButton = button("log", () => view.toggle("flip", this.id), {
      class: "tool",
      title: "Logarithmic or linear axis",
      "aria-pressed": "false",
    });
    this.element = h(
      "figure",
      { class: "panel", "data-panel": this.id },
      h(
        "figcaption",
        {},
        h("span", { class: "title", title: this.title }, clipped(this.title)),
        h("span", { class: "tools" }, this.axisButton, exportMenu(this)),
      ),
      this.canvas,
      this.tip,
      this.empty,
    );
    this.element.chart = this;
    charts.push(this);
    onScreen.observe(this.element);
    resized.observe(this.canvas);
  }

  // Draw again, at once where the reader sees it, else when that comes.
  refresh() {
    this.stale = true;
    if (this.seen) this.draw();
  }

  get zoomKey() {
    return `zoom.${this.row}`;
  }

  // The chosen part of the x axis; null for all of it.
  zoom() {
    const ends = view.get(this.zoomKey).split("_").map(Number);
    return ends.length === 2 && ends[1] > ends[0] ? ends : null;
  }

  setZoom(from, to) {
    const digits = (v) => String(Number(v.toPrecision(6)));
    view.set(this.zoomKey, from === null ? "" : `${digits(from)}_${digits(to)}`);
  }

  draw() {
    this.stale = false;
    this.plot?.destroy();
    this.plot = null;
    this.leave();
    const drawn = (this.drawn = faded(this.drawing()));
    this.empty.textContent = isEmpty(drawn) ? (drawn.absent ?? "nothing to draw") : "";
    this.canvas.hidden = isEmpty(drawn);
    this.axisButton.setAttribute("aria-pressed", String(drawn.kind !== "linear"));
    if (isEmpty(drawn)) return;
    const width = this.canvas.clientWidth;
    if (width) this.plot = plotted(this, drawn, width);
  }

  fit() {
    const width = this.canvas.clientWidth;
    if (!width || !this.seen) return;
    if (!this.plot) this.draw();
    else if (Math.abs(this.plot.width - width) > 1) this.plot.setSize({ width, height: HEIGHT });
  }

  vector(options) {
    const drawn = faded(this.drawing());
    return vector(drawn, {
      title: clipped(this.fullTitle?.() ?? this.title, 240),
      setting: clipped(this.setting?.() ?? "", 480),
      yLabel: clipped(this.yLabel ?? this.title),
      legend: this.legend?.() ?? [],
      range: this.zoom() ?? undefined,
      ...options,
    });
  }

  // ---- values: under the pointer, or one by one by the keyboard

  tell(index) {
    const { plot, drawn } = this;
    const at = plot.data[0][index];
    const rows = drawn.lines
      .map((line, i) => ({ line, value: valueAt(plot, i + 1, index) }))
      .filter(({ line, value }) => value && !line.quiet && at <= line.xs.at(-1) && !(at <= line.after));
    this.tip.replaceChildren(
      h("div", { class: "at" }, `${drawn.xLabel} ${written(at, 6)}`),
      h(
        "div",
        { class: "values" },
        rows.map(({ line, value }) => [
          lineMark(line.dash, line.colour(isDark())),
          h("span", { class: "name" }, clipped(line.label)),
          h("span", { class: "number" }, written(value.value)),
          h("span", { class: "band" }, bandAt(line, value.x)),
        ]),
      ),
    );
    this.tip.classList.add("shown");
    const left = plot.valToPos(at, "x") + plot.bbox.left / uPlot.pxRatio;
    const room = this.element.clientWidth - this.tip.offsetWidth - 4;
    const beside = left + 14 <= room ? left + 14 : left - this.tip.offsetWidth - 14;
    this.tip.style.left = `${Math.max(4, Math.min(beside, room))}px`;
    // Below the curves, or where the screen ends there, above them.
    const foot = this.element.clientHeight - 6;
    const fits = this.element.getBoundingClientRect().top + foot + this.tip.offsetHeight < innerHeight;
    this.tip.style.top = `${fits ? foot : 28 - this.tip.offsetHeight}px`;
  }

  leave() {
    this.tip.classList.remove("shown");
    this.index = null;
    this.plot?.setCursor({ left: -10, top: -10 });
  }

  key(event) {
    const { plot } = this;
    if (!plot) return;
    const xs = plot.data[0];
    const [from, to] = [plot.scales.x.min, plot.scales.x.max];
    const quarter = (to - from) / 4;
    const [first, last] = xRange(this.drawn);
    const moves = { ArrowRight: 1, ArrowLeft: -1, PageDown: 10, PageUp: -10 };
    if (event.key in moves) {
      const [leftmost, rightmost] = plot.series[0].idxs; // of what the zoom leaves
      const start = this.index ?? (moves[event.key] > 0 ? leftmost - 1 : rightmost + 1);
      this.index = Math.max(leftmost, Math.min(rightmost, start + moves[event.key]));
      plot.setCursor({ left: plot.valToPos(xs[this.index], "x"), top: plot.over.clientHeight / 2 });
      this.tell(this.index);
    } else if (event.key === "Escape") this.leave();
    else if (event.key === "+") this.setZoom(from + quarter, to - quarter);
    else if (event.key === "-" && (from - first > 2 * quarter || last - to > 2 * quarter)) {
      this.setZoom(Math.max(first, from - 2 * quarter), Math.min(last, to + 2 * quarter));
    } else if (event.key === "-" || event.key === "0") this.setZoom(null);
    else if (event.key === "l") view.toggle("flip", this.id);
    else return;
    event.preventDefault();
  }
}

// The value of a series at an index, or where it has none there at the nearest before it.
function valueAt(plot, series, index) {
  const ys = plot.data[series];
  for (let i = index; i >= 0; i--)
    if (ys[i] !== null && ys[i] !== undefined) return { value: ys[i], x: plot.data[0][i] };
  return null;
}

function bandAt(line, x) {
  if (!line.values?.wide) return "";
  const i = Array.prototype.indexOf.call(line.xs, x);
  if (i < 0) return "";
  const { low, high, counts, of } = line.values;
  const range = `${written(low[i])} to ${written(high[i])}`;
  if (counts[i] < of) return `${counts[i] > 1 ? `${range}, ` : ""}n=${counts[i]} of ${of}`;
  return of > 1 ? `${range}, n=${of}` : range;
}

// ---- uPlot --------------------------------------------------------------------------------------------

function plotted(chart, drawn, width) {
  const dark = isDark();
  const paper = ink();
  const zoom = chart.zoom();
  const distr = { linear: 1, log: 3, asinh: 4 }[drawn.kind];
  const [data, series] = aligned(drawn, dark);
  const font = "11px system-ui, sans-serif";
  const axis = {
    stroke: paper.soft,
    font,
    labelFont: font,
    ticks: { stroke: paper.line, size: 4 },
    grid: { show: false },
  };
  const plot = new uPlot(
    {
      width,
      height: HEIGHT,
      pxAlign: false,
      legend: { show: false },
      padding: [8, 20, 0, 0],
      scales: {
        x: { time: false, range: () => zoom ?? xRange(drawn) },
        y: {
          distr,
          asinh: 1,
          range: () => yRange(drawn, ...(zoom ?? [])),
        },
      },
      axes: [
        {
          ...axis,
          size: 24,
          gap: 3,
          label: drawn.xLabel,
          labelSize: 16,
          labelGap: 0,
          splits: (u, _, low, high) => ticks(low, high, "linear", Math.max(3, Math.floor(u.width / 80))),
          values: (_, found) => found.map(tickText),
        },
        {
          ...axis,
          size: 54,
          gap: 4,
          grid: { stroke: paper.grid, width: 1 },
          splits: (_, __, low, high) => ticks(low, high, drawn.kind, 6),
          filter: (_, found) => found,
          values: (_, found) => found.map(tickText),
        },
      ],
      series,
      cursor: {
        drag: { x: true, y: false, setScale: false, dist: 5 },
        sync: { key: chart.row, setSeries: false },
        points: { size: 6 },
        y: false,
        bind: { dblclick: () => () => chart.setZoom(null) },
      },
      hooks: {
        drawAxes: [(u) => underneath(u, drawn, dark, paper)],
        draw: [(u) => crosses(u, drawn, dark)],
        setCursor: [
          (u) => {
            const hovered = u.over.matches(":hover");
            if (hovered && u.cursor.idx !== null && u.cursor.left >= 0) chart.tell(u.cursor.idx);
            else if (chart.index === null) chart.tip.classList.remove("shown");
          },
        ],
        setSelect: [
          (u) => {
            if (u.select.width < 5) return;
            chart.setZoom(u.posToVal(u.select.left, "x"), u.posToVal(u.select.left + u.select.width, "x"));
          },
        ],
      },
    },
    data,
    chart.canvas,
  );
  return plot;
}

// uPlot's data: every x of any line, and each line's values there (undefined where it has none).
function aligned(drawn, dark) {
  const lines = drawn.lines;
  const shared = lines.every((line) => line.xs === lines[0].xs || same(line.xs, lines[0].xs));
  const xs = shared
    ? Array.from(lines[0].xs)
    : [...new Set(lines.flatMap((line) => Array.from(line.xs)))].sort((a, b) => a - b);
  const place = shared ? null : new Map(xs.map((x, i) => [x, i]));
  const positive = (value) => (drawn.kind === "log" && !(value > 0) ? null : value);
  const ys = lines.map((line) => {
    if (shared) return Array.from(line.ys, positive);
    const values = new Array(xs.length).fill(undefined);
    line.xs.forEach((x, i) => {
      values[place.get(x)] = positive(line.ys[i]);
    });
    return values;
  });
  const series = lines.map((line) => ({
    stroke: line.colour(dark),
    width: line.width,
    alpha: line.alpha,
    spanGaps: true,
    dash: line.dash.map((d) => d * line.width),
    points: { show: line.xs.length === 1, size: 5 },
  }));
  return [
    [xs, ...ys],
    [{}, ...series],
  ];
}

const same = (a, b) => a.length === b.length && a.every((x, i) => x === b[i]);

// Bands, and the value at the optimum, beneath the curves.
function underneath(u, drawn, dark, paper) {
  const { ctx, bbox } = u;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  const floor = (v) => (drawn.kind === "log" ? Math.max(v, u.scales.y.min) : v); // a band may reach below 0
  for (const band of drawn.bands) {
    const there = visiblePoints(band.xs, band.low, band.high, drawn.kind);
    if (there.length < 2) continue;
    ctx.beginPath();
    for (const i of there) ctx.lineTo(u.valToPos(band.xs[i], "x", true), u.valToPos(band.high[i], "y", true));
    for (const i of there.reverse())
      ctx.lineTo(u.valToPos(band.xs[i], "x", true), u.valToPos(floor(band.low[i]), "y", true));
    ctx.closePath();
    ctx.globalAlpha = band.alpha;
    ctx.fillStyle = band.colour(dark);
    ctx.fill();
  }
  ctx.globalAlpha = 1;
  if (drawn.optimum !== null && (drawn.kind !== "log" || drawn.optimum > 0)) {
    const y = u.valToPos(drawn.optimum, "y", true);
    ctx.strokeStyle = paper.soft;
    ctx.lineWidth = uPlot.pxRatio;
    ctx.setLineDash([2 * uPlot.pxRatio, 3 * uPlot.pxRatio]);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
  }
  ctx.restore();
}

function crosses(u, drawn, dark) {
  const { ctx } = u;
  const arm = 4 * uPlot.pxRatio;
  ctx.save();
  ctx.lineWidth = 2 * uPlot.pxRatio;
  for (const cross of drawn.crosses) {
    const [x, y] = [u.valToPos(cross.x, "x", true), u.valToPos(cross.y, "y", true)];
    const { left, top, width, height } = u.bbox;
    if (x < left - 1 || x > left + width + 1 || y < top - arm || y > top + height + arm) continue;
    ctx.strokeStyle = cross.colour(dark);
    ctx.beginPath();
    ctx.moveTo(x - arm, y - arm);
    ctx.lineTo(x + arm, y + arm);
    ctx.moveTo(x - arm, y + arm);
    ctx.lineTo(x + arm, y - arm);
    ctx.stroke();
  }
  ctx.restore();
}
