// ---- elements: whatever text comes from runs only ever becomes a text node or an attribute's value ----

// h("td", {class: "words", onclick: sort}, "text", child): an element with its attributes and children.
function h(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

// The same for SVG.
function s(tag, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(
    ...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== ""),
  );
  return element;
}

// Text for a place that has no room for ten thousand characters.
const clipped = (text, most = 120) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

function button(text, onclick, attributes = {}) {
  return h("button", { type: "button", onclick, ...attributes }, text);
}

// A labelled choice of one of several: choices are [value, text] pairs.
function choice(label, choices, chosen, onchange) {
  const select = h(
    "select",
    { onchange: () => onchange(select.value) },
    choices.map(([value, text]) => h("option", { value }, text)),
  );
  select.value = chosen;
  return h("label", { class: "choice" }, h("span", {}, label), select);
}

function checkbox(label, checked, onchange) {
  const box = h("input", { type: "checkbox", onchange: () => onchange(box.checked) });
  box.checked = checked;
  return h("label", { class: "check" }, box, h("span", {}, label));
}

// A button that opens a panel below it; Escape, a click elsewhere and, of a menu to save from, a choice
// close it.
function menu(title, content, attributes = {}) {
  const summary = h("summary", { title: attributes.title }, title);
  const details = h(
    "details",
    { ...attributes, class: `menu ${attributes.class ?? ""}` },
    summary,
    h("div", { class: "popover" }, content),
  );
  details.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && details.open) {
      details.open = false;
      summary.focus();
      event.stopPropagation();
    }
  });
  if (attributes.class?.includes("export")) {
    details.addEventListener("click", (event) => {
      if (event.target.closest(".popover button")) details.open = false;
    });
  }
  return details;
}

document.addEventListener("pointerdown", (event) => {
  for (const open of document.querySelectorAll("details.menu[open]")) {
    if (!open.contains(event.target)) open.open = false;
  }
});

// A short piece of a line as figures draw it, for a key.
function lineMark(dash, colour = "currentColor") {
  const [width, height, thickness] = [26, 10, 2.5];
  return s(
    "svg",
    { class: "mark", width, height, "aria-hidden": "true" },
    s("line", {
      x1: 1,
      x2: width - 1,
      y1: height / 2,
      y2: height / 2,
      stroke: colour,
      "stroke-width": thickness,
      "stroke-dasharray": dash.map((d) => thickness * d).join(" ") || null,
    }),
  );
}

function download(name, content, type) {
  const url = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

// A name for a file: letters, digits and a few signs; a part that is long keeps both of its ends.
function fileName(...parts) {
  return parts
    .filter(Boolean)
    .map((part) => part.replace(/[^\p{L}\p{N}._=+-]+/gu, "_").replace(/^_|_$/g, ""))
    .map((part) => (part.length > 80 ? `${part.slice(0, 50)}…${part.slice(-29)}` : part))
    .join("-");
}
