// ---- samples through training, at the update that one slider says for all -----------------------------

const CLOUD = 220; // pixels a side of a picture of points

function samplesSection() {
  const steps = unionOf(data.samples.flatMap((samples) => samples?.runs.map((run) => run.steps) ?? []));
  if (!steps.length) return null;
  const rows = rowsOf("samples", (comparison) => {
    const samples = data.samples[comparison.at];
    const found = samples?.runs.filter(({ run }) => isOf(comparison, run)) ?? [];
    return found.length ? () => tiles(found, samples, steps) : null;
  });
  const text =
    "What each normalizer's generator makes of the same latents, of its first finished seed, " +
    "beside real samples that it was not trained on. Points lie over the true density where that " +
    "is known; crosses are the centres of its modes.";
  return section("samples", "Samples", text, [slider("at.samples", steps, "Samples at"), rows, everyRun()]);
}

function tiles(found, samples, steps) {
  const real = samples.real
    ? tile("real data", "held out from training", () => samples.real, samples, null)
    : null;
  return [h("div", { class: "tiles" }, real, ...found.map((entry) => runTile(entry, samples, steps)))];
}

function runTile(entry, samples, steps) {
  const run = data.runs[entry.run];
  const group = groupOf(entry.run);
  const at = () =>
    Math.max(
      entry.steps.findLastIndex((step) => step <= chosenStep("at.samples", steps)),
      0,
    );
  const element = tile(
    styleOf(group).label,
    "",
    () => entry.samples[at()],
    samples,
    group.normalizer,
    () => {
      const ending = run.outcome === "finished" ? "" : `, ${run.outcome}`;
      return `seed ${run.seed}, update ${entry.steps[at()]}${ending}`;
    },
  );
  const update = () => {
    element.hidden = !group.runs.some(isShown);
  };
  view.listen((changed) => (changed === "" || changed.startsWith("hide") ? update() : null), element);
  update();
  return element;
}

// A picture under its name: an image as it was saved, or points in the normalizer's colour.
function tile(title, below, sample, samples, normalizer, caption = () => below) {
  const image = h("img", { alt: "", class: "grid", hidden: true });
  const canvas = h("canvas", { width: 2 * CLOUD, height: 2 * CLOUD, role: "img", hidden: true });
  const line = h("span", { class: "below" });
  const element = h(
    "figure",
    { class: "tile", "data-normalizer": normalizer ?? "real" },
    h("figcaption", {}, h("span", { class: "title", title }, clipped(title)), line),
    image,
    canvas,
    menu(
      "⤓",
      [
        button("PNG", () => saveTile(title, image, canvas)),
        button("CSV", () =>
          download(`${fileName("snlab-samples", title)}.csv`, csvText(tileRows(sample())), "text/csv"),
        ),
      ],
      { class: "export tool-menu", title: "Save these samples" },
    ),
  );
  const update = () => {
    const now = sample();
    const lost =
      now?.outside / now?.count >= 0.005 ? `, ${Math.round((100 * now.outside) / now.count)} % outside` : "";
    line.textContent = caption() + lost;
    image.hidden = !now?.image;
    canvas.hidden = !now?.points;
    if (now?.image && image.getAttribute("src") !== now.image) image.setAttribute("src", now.image);
    const words = `samples: ${title}, ${line.textContent}`;
    image.alt = words;
    canvas.setAttribute("aria-label", words);
    if (now?.points) drawCloud(canvas, now, samples, normalizer);
  };
  view.listen((changed) => (["", "at.samples", "theme"].includes(changed) ? update() : null), element);
  element.update = update;
  update();
  return element;
}

function drawCloud(canvas, cloud, samples, normalizer, dark = isDark()) {
  const ctx = canvas.getContext("2d");
  const { width } = canvas;
  const place = (v) => ((v / samples.reach) * width) / 2 + width / 2;
  ctx.fillStyle = (dark ? INK.dark : INK.light).back;
  ctx.fillRect(0, 0, width, width);
  if (samples.density) ctx.drawImage(densityPicture(samples, dark), 0, 0, width, width);
  if (samples.modes) {
    const modes = pointsOf(samples.modes);
    ctx.strokeStyle = dark ? "#ff7b72" : "#c00000";
    ctx.lineWidth = 2;
    ctx.beginPath();
    for (let i = 0; i < modes.length; i += 2) {
      const [x, y] = [place(modes[i]), place(-modes[i + 1])];
      ctx.moveTo(x - 6, y);
      ctx.lineTo(x + 6, y);
      ctx.moveTo(x, y - 6);
      ctx.lineTo(x, y + 6);
    }
    ctx.stroke();
  }
  const points = pointsOf(cloud);
  ctx.fillStyle = normalizer ? colourOf(normalizer, dark) : (dark ? INK.dark : INK.light).text;
  ctx.globalAlpha = 0.6;
  for (let i = 0; i < points.length; i += 2) {
    ctx.beginPath();
    ctx.arc(place(points[i]), place(-points[i + 1]), 2.6, 0, 2 * Math.PI);
    ctx.fill();
  }
  ctx.globalAlpha = 1;
}

function pointsOf(cloud) {
  cloud.decoded ??= floats(cloud.points);
  return cloud.decoded;
}

// The true density as a small picture: the theme's background where it is 0, a wash where it is largest.
function densityPicture(samples, dark) {
  const name = dark ? "darkPicture" : "lightPicture";
  if (samples[name]) return samples[name];
  const shares = bytes(samples.density);
  const side = Math.sqrt(shares.length);
  const canvas = h("canvas", { width: side, height: side });
  const pixels = new ImageData(side, side);
  const [r, g, b] = dark ? [240, 200, 90] : [214, 158, 20];
  shares.forEach((share, i) => pixels.data.set([r, g, b, share * (dark ? 0.45 : 0.5)], 4 * i));
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return (samples[name] = canvas);
}

function saveTile(title, image, canvas) {
  const name = `${fileName("snlab-samples", title)}.png`;
  if (!canvas.hidden) return canvas.toBlob((blob) => download(name, blob, "image/png"));
  const copy = h("canvas", { width: image.naturalWidth, height: image.naturalHeight });
  copy.getContext("2d").drawImage(image, 0, 0);
  return copy.toBlob((blob) => download(name, blob, "image/png"));
}

// Points as x and y; of an image the grey or red, green and blue of every pixel would be no table, so its
// size.
function tileRows(sample) {
  if (!sample?.points) return [["samples"], ["an image: save it as PNG"]];
  const points = pointsOf(sample);
  const rows = [["x", "y"]];
  for (let i = 0; i < points.length; i += 2) rows.push([exact(points[i]), exact(points[i + 1])]);
  return rows;
}

// The last samples of every run, folded away until asked for.
function everyRun() {
  const runs = Object.keys(data.lastSamples).map(Number);
  if (!runs.length) return null;
  const figures = runs.map((run) => {
    const about = data.runs[run];
    const words = `${labelOf(normalizerOf(run))}, seed ${about.seed}`;
    const image = h("img", {
      class: "grid",
      loading: "lazy",
      alt: `last samples: ${words}`,
      src: data.lastSamples[run],
    });
    const figure = h(
      "figure",
      { class: "tile" },
      h(
        "figcaption",
        {},
        h("span", { class: "title", title: words }, clipped(words)),
        h("span", { class: "below" }, [about.dataset, settingOf(run)].filter(Boolean).join(", ")),
      ),
      image,
    );
    const update = () => {
      figure.hidden = !isShown(run);
    };
    view.listen((changed) => (changed === "" || changed.startsWith("hide") ? update() : null));
    update();
    return figure;
  });
  return h(
    "details",
    { class: "gallery" },
    h("summary", {}, "The last samples of every run"),
    h("div", { class: "tiles" }, figures),
  );
}
