// ---- tables: sorted by a click on a column's head -----------------------------------------------------

// A table whose rows are {cells: [{text or content, sort, left, best, spread, remark}], tell: () => hidden}.
// columns: {title, help, left}. The order is kept in the view under `key`, as "column~up" or "column~down".
// options.sections: the heading that each row stands under, by its place; in any other order than that it
// stands in the row's own head, unless that is not wanted (options.named: a column has it).
function sortable(key, columns, rows, options = {}) {
  const heads = columns.map((column, i) =>
    h(
      "th",
      { scope: "col", class: column.left ? "words" : null, title: column.help || null },
      button(column.title, () => turn(i)),
    ),
  );
  const body = h("tbody", {});
  const turn = (i) => {
    const name = columns[i].key ?? columns[i].title;
    const [now, way] = view.get(key).split("~");
    view.set(key, now !== name ? `${name}~up` : way === "up" ? `${name}~down` : "");
  };
  const update = () => {
    const [name, way] = view.get(key).split("~");
    const by = columns.findIndex((column) => (column.key ?? column.title) === name);
    heads.forEach((head, i) =>
      head.setAttribute("aria-sort", i !== by ? "none" : way === "down" ? "descending" : "ascending"),
    );
    const sorted = by < 0 ? rows : [...rows].sort((a, b) => order(a.cells[by], b.cells[by], way === "down"));
    for (const row of rows) {
      row.element.hidden = row.hidden?.() ?? false;
      row.under?.remove();
      if (by >= 0 && row.under) row.element.cells[0].append(row.under);
    }
    body.replaceChildren(
      ...(by < 0 && options.sections
        ? withSections(sorted, options.sections, columns.length)
        : sorted.flatMap((row) => [row.element, row.below].filter(Boolean))),
    );
  };
  view.listen((changed) =>
    changed === "" || changed === key || changed.startsWith("hide") ? update() : null,
  );
  for (const row of rows) {
    row.element ??= h(
      "tr",
      {},
      row.cells.map((cell, i) => cellElement(cell, columns[i], i === 0)),
    );
    const head = options.named ? "" : options.sections?.[row.place];
    if (head) row.under = h("small", { class: "under" }, head);
  }
  update();
  return h(
    "div",
    { class: "wide", tabindex: 0, role: "region", "aria-label": options.label ?? "table" },
    h(
      "table",
      {},
      options.caption ? h("caption", {}, options.caption) : null,
      h("thead", {}, h("tr", {}, heads)),
      body,
    ),
  );
}

// The rows, each heading before the first row below it that is shown.
function withSections(rows, sections, width) {
  let last = "";
  return rows.flatMap((row) => {
    const head = sections[row.place];
    if (!head || head === last || row.element.hidden) return [row.element];
    last = head;
    const words = h("th", { colspan: width, scope: "rowgroup" }, h("span", {}, head));
    return [h("tr", { class: "section" }, words), row.element];
  });
}

// Numbers by size, words as people sort them; what was not measured comes last either way.
function order(a, b, down) {
  const [x, y] = [a.sort, b.sort];
  const missing = (v) => v === null || v === undefined || v === "";
  if (missing(x) || missing(y)) return missing(x) - missing(y);
  const found =
    typeof x === "number" && typeof y === "number"
      ? x - y
      : String(x).localeCompare(String(y), "en", { numeric: true });
  return down ? -found : found;
}

function cellElement(cell, column, first) {
  const content = cell.content ?? [
    cell.best ? h("strong", {}, cell.text) : cell.text,
    cell.spread ? h("span", { class: "spread" }, ` ± ${cell.spread}`) : null,
    cell.best ? h("span", { class: "best" }, " *") : null,
    cell.remark ? h("small", {}, ` ${cell.remark}`) : null,
  ];
  return h(
    first ? "th" : "td",
    { class: column.left ? "words" : null, scope: first ? "row" : null },
    content,
  );
}

// ---- the comparison, as `snlab table` prints it -------------------------------------------------------

function comparisonSection() {
  if (!data.tables.length) return null;
  return section(
    "comparison",
    "Comparison",
    "",
    data.tables.map((table, place) => comparisonTable(table, place)),
  );
}

const shownColumns = (table, place) =>
  table.columns
    .map((_, i) => i)
    .filter(
      (i) => i === 0 || view.all(`columns.${place}`).has(table.columns[i].key) === table.columns[i].detail,
    );

function comparisonTable(table, place) {
  const columnsKey = `columns.${place}`;
  const holder = h("div", {});
  const build = () => holder.replaceChildren(partOf(table, place, shownColumns(table, place)));
  view.listen((changed) => (changed === "" || changed === columnsKey ? build() : null));
  build();
  const partly = h("p", { class: "how partly", role: "status" });
  const printed = h("div", { class: "printed" });
  const tools = h(
    "div",
    { class: "options" },
    columnMenu(table, place, columnsKey),
    button("CSV", () => download(`snlab-table-${place}.csv`, csvText(tableRows(table)), "text/csv"), {
      title: "All columns, unrounded, as snlab table --format csv writes them",
    }),
  );
  const element = h(
    "div",
    { class: "comparison", "data-table": place },
    h("h3", {}, table.title),
    tools,
    partly,
    holder,
    printed,
    h(
      "ul",
      { class: "notes" },
      table.notes.map((note) => h("li", {}, note)),
    ),
  );
  element.print = () => {
    const groups = [
      ...new Set(
        shownColumns(table, place)
          .slice(1)
          .map((i) => table.columns[i].group),
      ),
    ];
    printed.replaceChildren(
      ...groups.map((group) =>
        partOf(
          table,
          `${place}.print`,
          shownColumns(table, place).filter((i) => i === 0 || table.columns[i].group === group),
          group,
        ),
      ),
    );
  };
  const update = () => {
    element.hidden = isHidden("dataset", table.dataset);
    const behind = data.groups
      .filter((group) => group.dataset === table.dataset && group.runs.some(isShown))
      .flatMap((group) => group.runs);
    const out = behind.filter((run) => !isShown(run)).length;
    partly.hidden = out === 0;
    partly.textContent =
      `The filter leaves out ${out} of the ${behind.length} runs behind these rows. Seeds, means and spreads ` +
      "are of all of them.";
  };
  view.listen((changed) => (changed === "" || changed.startsWith("hide") ? update() : null));
  update();
  return element;
}

// Some of its columns as a table.
function partOf(table, place, indices, caption) {
  const columns = indices.map((i) => table.columns[i]);
  const rows = table.rows.map((row, at) => ({
    place: at,
    cells: indices.map((i) => ({
      ...row[i],
      sort: table.columns[i].kind === "words" ? row[i].text : row[i].mean,
    })),
    hidden: () => rowIsHidden(table, row),
  }));
  return sortable(`sort.${place}`, columns, rows, {
    sections: table.sections,
    named: columns.some((column) => column.key === "setting"),
    label: table.title,
    caption,
  });
}

// A row goes with the last of its runs; a part of them leaves its numbers as they are, which is said.
function rowIsHidden(table, row) {
  const text = (key) => row[table.columns.findIndex((column) => column.key === key)]?.text;
  const label = row[0].text;
  const setting = text("setting") ?? "";
  const group = data.groups.find(
    (g) => g.dataset === table.dataset && labelOf(g.normalizer) === label && g.setting === setting,
  );
  if (!group) return data.normalizers.some((n) => n.label === label && isHidden("normalizer", n.name));
  return !group.runs.some(isShown);
}

function columnMenu(table, place, key) {
  const groups = [...new Set(table.columns.slice(1).map((column) => column.group))];
  const lists = groups.map((group) =>
    h(
      "fieldset",
      {},
      h("legend", {}, group || "what it is"),
      table.columns
        .slice(1)
        .filter((column) => column.group === group)
        .map((column) => {
          const isOn = () => view.all(key).has(column.key) === column.detail;
          const box = checkbox(column.title, isOn(), () => view.toggle(key, column.key));
          view.listen((changed) => (changed === "" ? (box.querySelector("input").checked = isOn()) : null));
          return box;
        }),
    ),
  );
  return menu("Columns", lists, { class: "columns" });
}

// As results/tables/formats/comma.py writes it: unrounded, a mean with its standard deviation and count.
function tableRows(table) {
  const head = table.columns.flatMap(({ key, kind }) =>
    kind === "mean" ? [key, `${key}_std`, `${key}_n`] : [key],
  );
  const rows = table.rows.map((row) =>
    table.columns.flatMap(({ kind }, i) => {
      const cell = row[i];
      if (kind === "words") return [cell.text];
      return kind === "mean" ? [cell.mean ?? "", cell.std ?? "", cell.n ?? 0] : [cell.mean ?? ""];
    }),
  );
  return [head, ...rows];
}

// ---- in what configurations differ --------------------------------------------------------------------

function differencesSection() {
  const { keys, values } = data.differences;
  if (!keys.length) return null;
  const columns = [
    { title: "runs", key: "runs", left: true },
    ...keys.map((key) => ({ title: key, key, left: true })),
  ];
  const rows = data.groups.map((group, place) => ({
    cells: [
      { text: `${group.label}, ${group.dataset}`, sort: group.label },
      ...values[place].map((value) => ({
        text: value,
        sort: Number.isNaN(Number(value)) ? value : Number(value),
      })),
    ],
    hidden: () => !group.runs.some(isShown),
  }));
  return section(
    "differences",
    "Where configurations differ",
    "Every setting that is not the same in all runs, but the seed and what changes no number.",
    sortable("sort.differences", columns, rows, { label: "differences" }),
  );
}
