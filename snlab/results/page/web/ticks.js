// ---- axes: the same ticks and numbers on the screen, in print and in an exported figure ---------------

// kind: "linear", "log" (positive values only) or "asinh" (linear near 0, logarithmic beyond 1 on both
// sides).
const FORWARD = { linear: (v) => v, log: Math.log10, asinh: Math.asinh };

// Whether they are one number but for rounding.
const alike = (low, high) => !(high - low > 1e-9 * Math.max(Math.abs(low), Math.abs(high)));

function ticks(low, high, kind, most) {
  if (alike(low, high)) return [low];
  if (kind === "log") return logTicks(low, high, most);
  if (kind === "asinh") return asinhTicks(low, high, most);
  const step = niceStep((high - low) / Math.max(most - 1, 1));
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) found.push(i * step);
  return found;
}

// The least of 1, 2 and 5 times a power of ten that is not below `least`.
function niceStep(least) {
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map((m) => m * power).find((step) => step >= least * (1 - 1e-9));
}

function logTicks(low, high, most) {
  const first = Math.floor(Math.log10(low));
  const last = Math.ceil(Math.log10(high));
  for (const subs of [[1, 2, 5], [1]]) {
    const found = [];
    for (let e = first; e <= last; e++) for (const m of subs) found.push(m * 10 ** e);
    const within = found.filter((v) => v >= low * (1 - 1e-9) && v <= high * (1 + 1e-9));
    if (within.length <= most + 1 && within.length >= 2) return within;
    if (subs.length === 1 && within.length > 1) {
      const every = Math.ceil(within.length / most);
      return within.filter((_, i) => i % every === 0);
    }
  }
  return ticks(low, high, "linear", most); // less than a decade
}

function asinhTicks(low, high, most) {
  if (Math.max(Math.abs(low), Math.abs(high)) <= 5) return ticks(low, high, "linear", most);
  const found = [0];
  for (let v = 1; v <= Math.max(Math.abs(low), Math.abs(high)); v *= 10) found.push(v, -v);
  const within = found.filter((v) => v >= low && v <= high).sort((a, b) => a - b);
  const every = Math.ceil(within.length / most);
  const zero = within.indexOf(0);
  return within.filter((_, i) => (i - Math.max(zero, 0)) % every === 0);
}

// A number with so many digits as people write it: 0.00012, 1.5e-7, 12 000.
function written(value, digits = 4) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-4) {
    return value
      .toExponential(Math.max(digits - 2, 0))
      .replace(/\.?0+e/, "e")
      .replace("e+", "e")
      .replace("-", "−")
      .replace("e-", "e−");
  }
  const text = String(Number(value.toPrecision(Math.max(digits, Math.floor(Math.log10(size)) + 1))));
  return text.replace("-", "−");
}

const tickText = (value) =>
  Math.abs(value) >= 1e4 && Math.abs(value) < 1e6 && value % 1000 === 0
    ? `${written(value / 1000)}k`
    : written(Number(value.toPrecision(6)), 6);

// The ends of an axis that holds values from low to high; one that comes near 0 from above begins there.
function padded(low, high, kind) {
  if (!Number.isFinite(low) || !Number.isFinite(high)) return kind === "log" ? [0.1, 10] : [0, 1];
  if (kind === "log") {
    const gap = Math.max((high / low) ** 0.06, 1.02);
    return [low / gap, high * gap];
  }
  if (kind === "asinh") {
    const gap = Math.max(0.05 * (Math.asinh(high) - Math.asinh(low)), 0.05);
    return [Math.sinh(Math.asinh(low) - gap), Math.sinh(Math.asinh(high) + gap)];
  }
  if (alike(low, high)) return low === 0 ? [0, 1] : low > 0 ? [0, 1.1 * high] : [1.1 * low, 0];
  const gap = 0.06 * (high - low);
  return [low >= 0 && low < high / 2 ? 0 : low - gap, high + gap];
}
