// ---- last scores by setting, as in Figures 1 and 2 of Miyato et al. 2018 -------------------------------

const BARS = { left: 58, cluster: 96, height: 150, name: 42, most: 1160 };
const HATCH = 5; // pixels: another loss under the same normalizer, whose colour it shares

function barsSection() {
  if (!data.bars.length) return null;
  const text =
    "A bar: the mean of the last scores of the seeds that finished; a dot: one of them; a cross: a run that " +
    "diverged, at the worst end. Letters are the paper's settings. Hatched: another loss than the standard one.";
  const letters = Object.entries(data.letters).map(([letter, words]) => h("li", {}, `${letter}: ${words}`));
  const figures = data.bars.map(barsFigure);
  return section("bars", "Last scores by setting", text, [
    figures,
    h("ul", { class: "notes letters" }, letters),
  ]);
}

function barsFigure(panel, place) {
  const picture = h("div", { class: "picture" });
  const title = `${panel.axis}, ${panel.title}`;
  const figure = (width, options = {}) =>
    barsVector(panel, { width, dark: isDark(), label: title, ...options });
  const element = h(
    "figure",
    { class: "bars", "data-bars": place },
    h(
      "figcaption",
      {},
      h("span", { class: "title", title }, clipped(title, 240)),
      h(
        "span",
        { class: "tools" },
        saveMenu(
          () => fileName("snlab-settings", title),
          () => figure(720, { dark: false, title: clipped(title, 240) }),
          () => barsRows(panel),
        ),
      ),
    ),
    picture,
  );
  const draw = () => {
    const width = printing ? 640 : Math.min(picture.clientWidth, BARS.most);
    if (width) picture.replaceChildren(figure(width));
  };
  const update = () => {
    element.hidden = !shownMethods(panel).length;
    draw();
  };
  new ResizeObserver(draw).observe(picture);
  view.listen((key) => (["", "theme"].includes(key) || key.startsWith("hide") ? update() : null));
  update();
  return element;
}

// The methods of which any run is shown, each letter with the runs that are.
const shownMethods = (panel) =>
  panel.methods
    .map((method) => ({
      ...method,
      bars: Object.entries(method.bars).map(([letter, runs]) => ({
        letter,
        ran: runs.length > 0,
        runs: runs.filter(({ run }) => isShown(run)),
      })),
    }))
    .filter(({ bars }) => bars.some(({ runs }) => runs.length));

const scoresOf = (runs) => runs.map(({ score }) => score).filter((score) => score !== null);

function barsVector(panel, { width, dark, title = "", label }) {
  const paper = dark ? INK.dark : INK.light;
  const methods = shownMethods(panel);
  const across = Math.max(1, Math.min(methods.length, Math.floor((width - BARS.left - 8) / BARS.cluster)));
  const lines = Math.ceil(methods.length / across);
  const heads = wrapped(title, width - 16, 13, 600);
  const top = 10 + 18 * heads.length;
  const step = BARS.height + 16 + BARS.name;
  const full = top + lines * step;
  const [low, high] = barsRange(panel, methods);
  const forward = FORWARD[panel.log ? "log" : "linear"];
  const share = (v) => (forward(v) - forward(low)) / (forward(high) - forward(low));
  const pitch = (width - BARS.left - 8) / across;
  const text = (content, attributes) =>
    s("text", { fill: paper.soft, "font-size": 11, "text-anchor": "middle", ...attributes }, content);
  const marks = heads.map(({ words }, i) =>
    text(words, {
      x: 8,
      y: 18 * (i + 1),
      "text-anchor": "start",
      fill: paper.text,
      "font-size": 13,
      "font-weight": 600,
    }),
  );
  const hatch = `hatch-${(barsVector.count = (barsVector.count ?? 0) + 1)}`;
  for (let line = 0; line < lines; line++) {
    const head = top + line * step;
    const foot = head + BARS.height;
    const y = (v) => foot - BARS.height * share(v);
    for (const tick of ticks(low, high, panel.log ? "log" : "linear", 5)) {
      marks.push(s("line", { x1: BARS.left, x2: width - 8, y1: y(tick), y2: y(tick), stroke: paper.grid }));
      marks.push(text(tickText(tick), { x: BARS.left - 7, y: y(tick) + 4, "text-anchor": "end" }));
    }
    wrapped(panel.axis, BARS.height, 11)
      .slice(0, 2)
      .forEach(({ words }, i) => {
        const at = 12 + 13 * i;
        marks.push(
          text(words, { x: at, y: (head + foot) / 2, transform: `rotate(-90 ${at} ${(head + foot) / 2})` }),
        );
      });
    methods.slice(line * across, (line + 1) * across).forEach((method, place) => {
      const from = BARS.left + 4 + place * pitch;
      marks.push(...clusterMarks(method, panel, { from, pitch, head, foot, y, dark, paper, hatch, text }));
    });
    marks.push(s("line", { x1: BARS.left, x2: width - 8, y1: foot, y2: foot, stroke: paper.line }));
  }
  return sheet(
    { width, height: full, label, paper },
    s(
      "pattern",
      {
        id: hatch,
        width: HATCH,
        height: HATCH,
        patternUnits: "userSpaceOnUse",
        patternTransform: "rotate(45)",
      },
      s("line", { x1: 0, x2: 0, y1: 0, y2: HATCH, stroke: paper.back, "stroke-width": 2.4 }),
    ),
    marks,
  );
}

// One method's bars, their letters, and its name.
function clusterMarks(method, panel, { from, pitch, head, foot, y, dark, paper, hatch, text }) {
  const slot = (pitch - 12) / method.bars.length;
  const colour = colourOf(method.normalizer, dark);
  const marks = [];
  const absent = [];
  method.bars.forEach(({ letter, ran, runs }, i) => {
    const middle = from + (i + 0.5) * slot;
    const scores = scoresOf(runs);
    const diverged = runs.filter(({ run }) => data.runs[run].outcome === "diverged");
    if (scores.length) {
      const mean = average(scores);
      const told = `${method.label}, setting ${letter}: ${written(mean)}, n=${scores.length}`;
      const box = {
        x: middle - 0.43 * slot,
        width: 0.86 * slot,
        y: y(mean),
        height: Math.max(foot - y(mean), 0),
      };
      marks.push(
        s("rect", { ...box, fill: colour, "data-letter": letter, "data-mean": mean }, s("title", {}, told)),
        method.hatched ? s("rect", { ...box, fill: `url(#${hatch})`, "pointer-events": "none" }) : "",
        scores.map((score) =>
          s("circle", { cx: middle, cy: y(score), r: 2, fill: paper.text, "pointer-events": "none" }),
        ),
      );
    }
    diverged.forEach((_, k) => {
      const at = panel.log ? head + 9 + 14 * k : foot - 9 - 14 * k;
      marks.push(
        s("path", {
          class: "diverged",
          d: `M${middle - 4} ${at - 4}l8 8m0 -8l-8 8`,
          stroke: paper.text,
          "stroke-width": 1.6,
        }),
      );
    });
    if (!scores.length && !diverged.length) absent.push({ i, middle, words: ran ? "no score" : "not run" });
    marks.push(text(letter, { x: middle, y: foot + 13 }));
  });
  for (const { middle, words } of absent)
    marks.push(
      text(words, {
        x: middle + 4,
        y: foot - 6,
        "text-anchor": "start",
        "font-size": 10,
        transform: `rotate(-90 ${middle + 4} ${foot - 6})`,
      }),
    );
  wrapped(method.label, pitch - 8, 11)
    .slice(0, 3)
    .forEach(({ words }, i) => {
      marks.push(text(words, { x: from + (pitch - 12) / 2, y: foot + 28 + 13 * i, fill: paper.text }));
    });
  return marks;
}

// The axis of all bars: from 0 or, logarithmic, from below the best.
function barsRange(panel, methods) {
  const scores = methods.flatMap(({ bars }) => bars.flatMap(({ runs }) => scoresOf(runs)));
  if (!panel.log) return [0, 1.08 * Math.max(...scores, 0) || 1];
  const positive = scores.filter((score) => score > 0);
  return positive.length ? [Math.min(...positive) / 1.6, Math.max(...positive) * 1.3] : [0.1, 10];
}

// One row a run.
const barsRows = (panel) => [
  ["method", "normalizer", "loss", "setting", "run", "seed", "outcome", panel.name],
  ...shownMethods(panel).flatMap(({ label, bars }) =>
    bars.flatMap(({ letter, runs }) =>
      runs.map(({ run, score }) => {
        const about = data.runs[run];
        return [
          label,
          normalizerOf(run),
          about.loss,
          letter,
          about.name,
          about.seed,
          about.outcome,
          score ?? "",
        ];
      }),
    ),
  ),
];
