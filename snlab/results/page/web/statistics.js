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

// The mean over runs and the band about it, at the updates at which every run has a value.
//
// curves: of curveOf. band: "range" (lowest to highest, thinned-out values included), "interval" (the mean's
// 95 % t interval) or "none". Returns {steps, mean, low, high}.
function together(curves, band, weight = 0) {
  const places = curves.map((curve) => new Map(curve.steps.map((step, i) => [step, i])));
  const steps = curves[0].steps.filter((step) => places.every((place) => place.has(step)));
  const lines = curves.map((curve) => smoothed(curve.last, weight));
  const n = curves.length;
  const mean = [],
    low = [],
    high = [];
  for (const step of steps) {
    const at = places.map((place) => place.get(step));
    const average = at.reduce((sum, i, k) => sum + lines[k][i], 0) / n;
    mean.push(average);
    if (band === "interval" && n > 1) {
      const values = at.map((i, k) => curves[k].last[i]);
      const centre = values.reduce((sum, value) => sum + value, 0) / n;
      const squares = values.reduce((sum, value) => sum + (value - centre) ** 2, 0);
      const half = data.t[n] * Math.sqrt(squares / (n - 1));
      low.push(centre - half);
      high.push(centre + half);
    } else {
      low.push(Math.min(...at.map((i, k) => curves[k].low[i])));
      high.push(Math.max(...at.map((i, k) => curves[k].high[i])));
    }
  }
  return { steps, mean, low, high };
}
