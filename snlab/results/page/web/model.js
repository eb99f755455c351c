// ---- a drawing: what a panel shows, before anything draws it ------------------------------------------
//
// {title, xLabel, kind, optimum, lines, bands, crosses}, where
//   line  = {xs, ys, colour (a function of dark), width, dash, alpha, label, after, values or null}, where
//           values = {low, high, counts, of}: of how many seeds, at each x, of how many; `after` is the x up to
//           which another line has the values
//   band  = {xs, low, high, colour, alpha}
//   cross = {x, y, colour}: where a run diverged.
// uPlot draws it on the screen, vector.js in print and for export, and both have the same axes.

function drawing(parts) {
  return {
    kind: "linear",
    optimum: null,
    lines: [],
    bands: [],
    crosses: [],
    xLabel: "generator updates",
    ...parts,
  };
}

// The kind of axis: as chosen for all panels, or the panel's own; `flipped` asks for the other one.
function axisKind(values, prefersLog, flipped) {
  const chosen = view.get("axis");
  const wanted = (chosen === "auto" ? prefersLog : chosen === "log") !== flipped;
  if (!wanted) return "linear";
  return values.some((value) => value <= 0) ? "asinh" : "log";
}

// The lowest and the highest value between two x; null where there is nothing.
function extent(drawn, from = -Infinity, to = Infinity) {
  let low = Infinity,
    high = -Infinity;
  const take = (xs, ys) => {
    for (let i = 0; i < xs.length; i++) {
      if (xs[i] < from || xs[i] > to || !Number.isFinite(ys[i])) continue;
      if (drawn.kind === "log" && ys[i] <= 0) continue;
      if (ys[i] < low) low = ys[i];
      if (ys[i] > high) high = ys[i];
    }
  };
  for (const line of drawn.lines) take(line.xs, line.ys);
  for (const band of drawn.bands) {
    take(band.xs, band.low);
    take(band.xs, band.high);
  }
  if (low > high) return null;
  if (drawn.optimum !== null && (drawn.kind !== "log" || drawn.optimum > 0)) {
    low = Math.min(low, drawn.optimum);
    high = Math.max(high, drawn.optimum);
  }
  return [low, high];
}

function yRange(drawn, from, to) {
  if (drawn.yRange) return drawn.yRange;
  const found = extent(drawn, from, to) ?? extent(drawn);
  return found ? padded(...found, drawn.kind) : padded(NaN, NaN, drawn.kind);
}

function xRange(drawn) {
  if (drawn.xRange) return drawn.xRange;
  let low = Infinity,
    high = -Infinity;
  for (const line of drawn.lines) {
    if (!line.xs.length) continue;
    low = Math.min(low, line.xs[0]);
    high = Math.max(high, line.xs[line.xs.length - 1]);
  }
  if (low > high) return [0, 1];
  low = Math.min(low, 0);
  return low === high ? [low, low + 1] : [low, high];
}

const CROWD = 5; // bands that can lie over one another and still be seen

// The drawing, with paler bands where there are many.
function faded(drawn) {
  const share = Math.min(1, CROWD / drawn.bands.length);
  for (const band of drawn.bands) band.alpha *= Math.max(share, 0.35);
  return drawn;
}

const isEmpty = (drawn) => drawn.lines.every((line) => line.xs.length === 0);

const FEWER = 0.5; // how thick a line goes on, of itself, where some seeds have ended

// The lines and the band of one normalizer: its mean, its runs where they are wanted, a cross for each that
// diverged. `runs` are places in data.runs; x is "updates" or "time"; `style` is {colour, dash, label}.
function seedLines(drawn, runs, name, style, options = {}) {
  const found = runs.map((run) => ({ run, curve: curveOf(run, name) })).filter(({ curve }) => curve);
  if (!found.length) return;
  const { band, weight, single } = {
    band: view.get("band"),
    weight: Math.min(Math.max(Number(view.get("smooth")) || 0, 0), 0.99),
    single: view.get("runs") === "1",
    ...options,
  };
  const times = view.get("x") === "time";
  const x = (run, step) => (times ? secondsAt(run, step) : step);
  const { colour, dash, label, width = 2 } = style;
  const timed = ({ run, curve }) => xsOf(curve.steps, (step) => x(run, step));

  if (single && found.length > 1) {
    for (const { run, curve } of found) {
      const [xs, keep] = timed({ run, curve });
      drawn.lines.push({
        xs,
        ys: kept(smoothed(curve.last, weight), keep),
        colour,
        dash,
        width: 1,
        alpha: 0.55,
        of: data.runs[run].name,
        label: `${label}, seed ${data.runs[run].seed}`,
        quiet: true,
      });
      if (curve.thinned && band !== "none") {
        drawn.bands.push({
          xs,
          low: kept(curve.low, keep),
          high: kept(curve.high, keep),
          colour,
          alpha: 0.07,
        });
      }
    }
  }
  const all = together(
    found.map(({ curve }) => curve),
    band,
    weight,
  );
  const among = new Map(all.steps.map((step, i) => [step, all.among[i]]));
  const [xs, keep] = xsOf(all.steps, (step) => average(among.get(step).map((k) => x(found[k].run, step))));
  const [low, high] = [kept(all.low, keep), kept(all.high, keep)];
  const wide = found.length > 1 || found.some(({ curve }) => curve.thinned);
  if (band !== "none" && wide)
    drawn.bands.push({ xs, low, high, colour, alpha: found.length > 1 ? 0.18 : 0.25 });
  if (weight) {
    const raw = together(
      found.map(({ curve }) => curve),
      "none",
      0,
    );
    drawn.lines.push({
      xs,
      ys: kept(raw.mean, keep),
      colour,
      dash,
      width: 1,
      alpha: 0.3,
      label,
      quiet: true,
    });
  }
  const counts = kept(all.among, keep).map((those) => those.length);
  const line = { ys: kept(all.mean, keep), colour, dash, alpha: 1, label };
  const part = (from, to, own) => ({
    ...line,
    ...own,
    xs: xs.slice(from, to),
    ys: line.ys.slice(from, to),
    values: {
      low: low.slice(from, to),
      high: high.slice(from, to),
      counts: counts.slice(from, to),
      of: found.length,
      wide,
    },
  });
  const fewer = counts.findIndex((count) => count < found.length);
  const whole = fewer < 0 ? xs.length : fewer;
  if (whole || !xs.length) drawn.lines.push(part(0, whole, { width }));
  if (fewer >= 0) {
    const from = Math.max(whole - 1, 0); // it begins where the other ends
    drawn.lines.push(part(from, xs.length, { width: FEWER * width, after: whole ? xs[from] : -Infinity }));
  }
  for (const { run, curve } of found) {
    if (data.runs[run].outcome !== "diverged") continue;
    const at = x(run, curve.steps.at(-1));
    if (at !== null) drawn.crosses.push({ x: at, y: curve.last.at(-1), colour });
  }
}

// The x of every step that has one, and which steps those are.
function xsOf(steps, x) {
  const xs = [],
    keep = [];
  steps.forEach((step, i) => {
    const at = x(step);
    if (at === null) return;
    xs.push(at);
    keep.push(i);
  });
  return [xs, keep];
}

const kept = (values, keep) => (keep.length === values.length ? values : keep.map((i) => values[i]));

function average(values) {
  if (values.some((value) => value === null)) return null;
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

// One x axis for a comparison: from 0 to where the longest of its shown runs came.
function lengthOf(comparison) {
  let end = 0;
  for (const run of shownGroups(comparison).flatMap(shownRuns)) {
    for (const { grid } of Object.values(data.runs[run].curves)) {
      const step = data.grids[grid].at(-1);
      end = Math.max(end, (view.get("x") === "time" ? secondsAt(run, step) : step) ?? 0);
    }
  }
  return end > 0 ? [0, end] : undefined;
}

const xLabelNow = () => (view.get("x") === "time" ? "wall time (s)" : "generator updates");
