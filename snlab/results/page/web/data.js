// ---- what the page was given --------------------------------------------------------------------------

const data = JSON.parse(document.getElementById("data").textContent);
const normalizers = new Map(data.normalizers.map((normalizer) => [normalizer.name, normalizer]));

const SIGMAS = ["sigma/exact", "sigma/power_iteration", "sigma/raw", "sigma/conv"];

const unionOf = (lists) => [...new Set(lists.flat())].sort((a, b) => a - b);

// Bytes from base64.
function bytes(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

// float32, little-endian, as every machine that runs browsers has it.
function floats(text) {
  return new Float32Array(bytes(text).buffer);
}

const curves = new Map();

// One run's curve: {steps, last, low, high}; low and high are `last` itself where nothing was thinned.
// null where the run logged no such thing.
function curveOf(run, name) {
  const packed = data.runs[run].curves?.[name];
  if (!packed) return null;
  if (!curves.has(packed)) {
    const last = floats(packed.last);
    curves.set(packed, {
      steps: data.grids[packed.grid],
      last,
      low: packed.low ? floats(packed.low) : last,
      high: packed.high ? floats(packed.high) : last,
      thinned: Boolean(packed.low),
    });
  }
  return curves.get(packed);
}

// Seconds of wall time at an update, between measurements by proportion; null where the run does not say.
function secondsAt(run, step) {
  const clock = data.runs[run].clock;
  if (!clock || step > clock.steps.at(-1)) return null;
  let after = clock.steps.findIndex((known) => known >= step);
  if (after <= 0) return clock.seconds[Math.max(after, 0)];
  const [a, b] = [clock.steps[after - 1], clock.steps[after]];
  const share = (step - a) / (b - a);
  return clock.seconds[after - 1] + share * (clock.seconds[after] - clock.seconds[after - 1]);
}
