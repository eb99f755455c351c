// ---- a drawing as SVG: for print, and for papers ------------------------------------------------------

const FONT = "system-ui, 'Helvetica Neue', Arial, 'Noto Sans', sans-serif";

// An <svg> element of a drawing. options: {width, height (but for lines of title beyond the first, and the
// legend), dark, title, setting and yLabel (with a title), legend (of {label, colour, dash}), range}.
function vector(drawn, options) {
  const { width, height, dark = false, title = "", legend = [], range } = options;
  const paper = dark ? INK.dark : INK.light;
  const rows = legendRows(legend, width - 30);
  const heads = [
    ...wrapped(title, width - 16, 13, 600),
    ...(title ? wrapped(options.setting ?? "", width - 16, 11) : []),
  ];
  const plot = height - (title ? 74 : 56);
  const names = title ? wrapped(options.yLabel ?? "", plot + 20, 11).slice(0, 3) : [];
  const left = 58 + 14 * names.length;
  const box = { left, top: 12 + 18 * heads.length, width: width - left - 20, height: plot };
  const end = box.top + box.height + 44;
  const full = end + rows.length * 18;
  const place = placing(drawn, box, range);
  const text = (content, attributes) =>
    s("text", { fill: paper.soft, "font-size": 11, ...attributes }, content);
  const clip = `clip-${(vector.count = (vector.count ?? 0) + 1)}`;
  return sheet(
    { width, height: full, label: title || drawn.title, paper },
    s(
      "clipPath",
      { id: clip },
      s("rect", { x: box.left, y: box.top - 4, width: box.width + 6, height: box.height + 8 }),
    ),
    axesMarks(drawn, box, place, paper, text),
    headMarks(heads, names, box, paper, text),
    s("g", { "clip-path": `url(#${clip})` }, [
      bandMarks(drawn, place, dark),
      optimumMark(drawn, box, place, paper),
      lineMarks(drawn, place, dark),
      crossMarks(drawn, place, dark),
    ]),
    legendMarks(rows, end, dark, paper, text),
  );
}

// An <svg> element that stands by itself: its paper, and what is on it.
function sheet({ width, height, label, paper }, ...marks) {
  return s(
    "svg",
    {
      viewBox: `0 0 ${width} ${height}`,
      width,
      height,
      role: "img",
      "aria-label": label,
      "font-family": FONT,
    },
    s("rect", { width, height, fill: paper.back }),
    marks,
  );
}

// Where a drawing's values lie in a box: {x, y (of a value, in pixels), xs and ys (the ends of the axes)}.
function placing(drawn, box, range) {
  const [x0, x1] = range ?? xRange(drawn);
  const [y0, y1] = yRange(drawn, x0, x1);
  const forward = FORWARD[drawn.kind];
  return {
    xs: [x0, x1],
    ys: [y0, y1],
    x: (v) => box.left + box.width * ((v - x0) / (x1 - x0 || 1)),
    y: (v) => box.top + box.height * (1 - (forward(v) - forward(y0)) / (forward(y1) - forward(y0) || 1)),
  };
}

function axesMarks(drawn, box, { x, y, xs, ys }, paper, text) {
  const foot = box.top + box.height;
  const right = box.left + box.width;
  const marks = [];
  for (const tick of ticks(...ys, drawn.kind, 6)) {
    marks.push(s("line", { x1: box.left, x2: right, y1: y(tick), y2: y(tick), stroke: paper.grid }));
    marks.push(text(tickText(tick), { x: box.left - 7, y: y(tick) + 4, "text-anchor": "end" }));
  }
  for (const tick of ticks(...xs, "linear", Math.max(3, Math.floor(box.width / 75)))) {
    marks.push(s("line", { x1: x(tick), x2: x(tick), y1: foot, y2: foot + 4, stroke: paper.line }));
    marks.push(text(tickText(tick), { x: x(tick), y: foot + 17, "text-anchor": "middle" }));
  }
  return [
    marks,
    s("path", { d: `M${box.left} ${box.top}V${foot}H${right}`, stroke: paper.line, fill: "none" }),
    text(drawn.xLabel, { x: box.left + box.width / 2, y: foot + 35, "text-anchor": "middle" }),
  ];
}

// The title above, and the name of the y axis beside it.
function headMarks(heads, names, box, paper, text) {
  return [
    heads.map(({ words, size, weight }, i) =>
      text(words, {
        x: 8,
        y: 18 * (i + 1),
        fill: weight ? paper.text : paper.soft,
        "font-size": size,
        "font-weight": weight,
      }),
    ),
    names.map(({ words }, i) => {
      const [at, middle] = [14 + 14 * i, box.top + box.height / 2];
      return text(words, {
        x: at,
        y: middle,
        "text-anchor": "middle",
        transform: `rotate(-90 ${at} ${middle})`,
      });
    }),
  ];
}

function bandMarks(drawn, { x, y, ys }, dark) {
  const floor = (v) => (drawn.kind === "log" ? Math.max(v, ys[0]) : v); // a band may reach below 0
  return drawn.bands.flatMap((band) => {
    const there = visiblePoints(band.xs, band.low, band.high, drawn.kind);
    if (there.length < 2) return [];
    const upper = there.map((i) => `${round(x(band.xs[i]))} ${round(y(band.high[i]))}`);
    const lower = there.map((i) => `${round(x(band.xs[i]))} ${round(y(floor(band.low[i])))}`).reverse();
    return s("path", {
      d: `M${upper.join("L")}L${lower.join("L")}Z`,
      fill: band.colour(dark),
      "fill-opacity": band.alpha,
    });
  });
}

function optimumMark(drawn, box, { y }, paper) {
  if (drawn.optimum === null || (drawn.kind === "log" && drawn.optimum <= 0)) return [];
  const at = y(drawn.optimum);
  const ends = { x1: box.left, x2: box.left + box.width, y1: at, y2: at };
  return s("line", { ...ends, stroke: paper.soft, "stroke-dasharray": "2 3" });
}

// A line, or a dot where it has one value alone.
function lineMarks(drawn, { x, y }, dark) {
  return drawn.lines.flatMap((line) => {
    const there = visiblePoints(line.xs, line.ys, line.ys, drawn.kind);
    if (!there.length) return [];
    const colour = line.colour(dark);
    if (there.length === 1)
      return s("circle", { cx: x(line.xs[there[0]]), cy: y(line.ys[there[0]]), r: 2.5, fill: colour });
    const path = there.map((i) => `${round(x(line.xs[i]))} ${round(y(line.ys[i]))}`);
    return s("path", {
      d: `M${path.join("L")}`,
      stroke: colour,
      "stroke-width": line.width,
      "stroke-opacity": line.alpha,
      fill: "none",
      "stroke-linejoin": "round",
      "stroke-dasharray": line.dash.map((d) => d * line.width).join(" ") || null,
    });
  });
}

function crossMarks(drawn, { x, y }, dark) {
  return drawn.crosses.map((cross) => {
    const [cx, cy] = [round(x(cross.x)), round(y(cross.y))];
    const d = `M${cx - 4} ${cy - 4}l8 8m0 -8l-8 8`;
    return s("path", { d, stroke: cross.colour(dark), "stroke-width": 2 });
  });
}

function legendMarks(rows, end, dark, paper, text) {
  return rows.flatMap((row, i) => {
    const line = end + 10 + 18 * i;
    let at = 16;
    return row.flatMap((entry) => {
      const from = at;
      at += entry.room;
      return [
        legendMark(entry, from, line - 4, dark),
        text(entry.shown, { x: from + 30, y: line, fill: paper.text }),
      ];
    });
  });
}

function legendMark(entry, x, y, dark) {
  return s("path", {
    d: `M${x} ${y}h24`,
    stroke: entry.colour(dark),
    "stroke-width": 2.5,
    fill: "none",
    "stroke-dasharray": entry.dash.map((d) => 2.5 * d).join(" ") || null,
  });
}

// Entries in rows of at most so many pixels.
function legendRows(entries, width) {
  const rows = [];
  let left = 0;
  for (const entry of entries) {
    const [{ words }, more] = wrapped(entry.label, width - 48, 11);
    const shown = more ? `${words}…` : words;
    const room = 48 + lengthOfText(shown, 11);
    if (room > left) {
      rows.push([]);
      left = width;
    }
    rows.at(-1).push({ ...entry, shown, room });
    left -= room;
  }
  return rows;
}

const ruler = document.createElement("canvas").getContext("2d");

function lengthOfText(words, size, weight = 400) {
  ruler.font = `${weight} ${size}px ${FONT}`;
  return ruler.measureText(words).width;
}

// Text in lines of at most so many pixels, as {words, size, weight}: broken between words, a word that is too
// long within.
function wrapped(text, width, size, weight) {
  const lines = [];
  const fits = (words) => lengthOfText(words, size, weight) <= width;
  for (let word of text.split(" ").filter(Boolean)) {
    if (lines.length && fits(`${lines.at(-1)} ${word}`)) {
      lines[lines.length - 1] += ` ${word}`;
      continue;
    }
    while (!fits(word)) {
      let most = Math.min(word.length - 1, Math.ceil(width / 2));
      while (most > 1 && !fits(word.slice(0, most))) most -= 1;
      lines.push(word.slice(0, most));
      word = word.slice(most);
    }
    lines.push(word);
  }
  return lines.map((words) => ({ words, size, weight }));
}

function visiblePoints(xs, low, high, kind) {
  const there = [];
  for (let i = 0; i < xs.length; i++) {
    const fine = Number.isFinite(low[i]) && Number.isFinite(high[i]);
    if (fine && (kind !== "log" || high[i] > 0)) there.push(i);
  }
  return there;
}

const round = (value) => Math.round(value * 100) / 100;
