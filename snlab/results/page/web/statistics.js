// ---- a few seeds as one curve -------------------------------------------------------------------------

// An exponential moving average that starts without a bias (Kingma and Ba 2015, section 3); 0 leaves as it
// is.
function smoothed(values, weight) {
  if (!weight) return values;
  const out = new Float64Array(values.length);
  let mean = 0;
  let left = 1;
  for (let i = 0; i < values.length; i++) {
    mean = weight * mean + (1 - weight) * values[i];
    left *= weight;
    out[i] = mean / (1 - left);
  }
  return out;
}

// The mean over runs and the band about it. Where a run has ended, it goes on over those that have not: at an
// update of which each of them has a value.
//
// curves: of curveOf. band: "range" (lowest to highest, thinned-out values included), "interval" (the mean's
// 95 % t interval) or "none". Returns {steps, mean, low, high, among}: `among` has, of each step, the places in
// `curves` of those that were there.
function together(curves, band, weight = 0) {
  const places = curves.map((curve) => new Map(curve.steps.map((step, i) => [step, i])));
  const lines = curves.map((curve) => smoothed(curve.last, weight));
  const found = { steps: [], mean: [], low: [], high: [], among: [] };
  let there = curves.map((_, k) => k);
  for (const step of allSteps(curves)) {
    if (there.some((k) => curves[k].steps.at(-1) < step))
      there = there.filter((k) => curves[k].steps.at(-1) >= step);
    const at = there.map((k) => places[k].get(step));
    if (at.includes(undefined)) continue;
    const n = there.length;
    const mean = (values) => values.reduce((sum, value) => sum + value, 0) / n;
    found.steps.push(step);
    found.among.push(there);
    found.mean.push(mean(at.map((i, j) => lines[there[j]][i])));
    if (band === "interval" && n > 1) {
      const values = at.map((i, j) => curves[there[j]].last[i]);
      const centre = mean(values);
      const squares = values.reduce((sum, value) => sum + (value - centre) ** 2, 0);
      const half = data.t[n] * Math.sqrt(squares / (n - 1));
      found.low.push(centre - half);
      found.high.push(centre + half);
    } else {
      found.low.push(Math.min(...at.map((i, j) => curves[there[j]].low[i])));
      found.high.push(Math.max(...at.map((i, j) => curves[there[j]].high[i])));
    }
  }
  return found;
}

// Every update at which any of the curves has a value, in order.
function allSteps(curves) {
  const [first, ...others] = curves;
  if (others.every((curve) => curve.steps === first.steps)) return first.steps;
  return unionOf(curves.map((curve) => curve.steps));
}
