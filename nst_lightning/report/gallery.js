"use strict";
const DATA = JSON.parse(document.getElementById("data").textContent);
const { axes, losses, metrics, results, settings } = DATA;
const byId = (id) => document.getElementById(id);
const CROWD = 4;      // results that one cell shows at most
const CHUNK = 600;    // cells that are made before the browser may draw
const OWN = ["total", "content", "style", "tv"];

/* ---------- small helpers ---------- */

function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && name !== "style" && name !== "loading") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function image(src, size, alt, more = {}) {
  // `loading` must be set before `src`, or the image is fetched at once.
  const element = make("img", { alt, decoding: "async", loading: "lazy", ...more });
  if (size) [element.width, element.height] = size;
  element.src = src;
  return element;
}

function show(value) {
  if (value === null || value === undefined) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-3) return value.toExponential(3);
  return String(Number(value.toPrecision(4)));
}

const stem = (result) => result.href.replace(/\.[a-z0-9]+$/, "");
const thumbnail = (result) => `gallery/results/${result.href.replace(/\.png$/, "")}.jpg`;
/* Browsers show no TIFF, and would hold all pixels of a large image. */
const viewable = (result) =>
  result.zoom || result.href.endsWith(".tif") ? `gallery/large/${result.href}.jpg` : result.shown;
const zoomPage = (result) => `gallery/zoom/${result.href}/index.html`;
const label = (axis, result) => axes[axis].values[result.at[axis]];
const inputs = axes.flatMap((axis, i) => (axis.images ? [i] : []));
const swept = axes.flatMap((axis, i) => (axis.swept ? [i] : []));
const axisName = (i) => (axes[i].images && inputs.length === 1 ? "image" : axes[i].name);

function pairName(result) {
  return inputs.map((i) => label(i, result)).join(" × ");
}
function caseName(result) {
  return swept.filter((i) => label(i, result) !== "–")
    .map((i) => (axes[i].name === "case" ? "" : axes[i].name + " ") + label(i, result)).join(", ");
}
function fullName(result) {
  return [pairName(result), caseName(result)].filter(Boolean).join(": ");
}
for (const result of results) result.search = fullName(result).toLowerCase();

/* ---------- what is shown ---------- */

const state = {
  view: "table", rows: DATA.rows, columns: DATA.columns, words: "", sort: "name", down: false,
  filters: { table: axes.map(() => -1), list: axes.map(() => -1) },
};
let order = [];        // the results shown, as one goes from one to the next
let buttons = new Map();  // result → its button
let lines = [];        // buttons by line, for the arrow keys
let drawing = 0;

function shown() {
  const wanted = state.words.toLowerCase().split(/\s+/).filter(Boolean);
  const filter = state.filters[state.view];
  return results.filter((result) =>
    filter.every((value, i) => value < 0 || result.at[i] === value) &&
    wanted.every((word) => result.search.includes(word)));
}

/* Axes that are neither rows nor columns: all values together, or one where cells would crowd. */
function settleFilters() {
  const filter = state.filters.table;
  const placed = [state.rows, state.columns];
  const off = axes.map((_, i) => i).filter((i) => !placed.includes(i));
  placed.forEach((i) => { if (i >= 0) filter[i] = -1; });
  if (placed.includes(-1)) return;
  const seen = new Set();
  const crowded = results.some((result) => {
    const key = placed.map((i) => result.at[i]).join();
    return seen.has(key) || !seen.add(key);
  });
  if (crowded) for (const i of off) if (filter[i] < 0) filter[i] = results[0].at[i];
}

const compare = (a, b) => {
  for (let i = 0; i < a.at.length; i++) if (a.at[i] !== b.at[i]) return a.at[i] - b.at[i];
  return 0;
};

function sorted(found) {
  const key = sortKey(state.sort);
  const sign = state.down ? -1 : 1;
  return [...found].sort((a, b) => {
    if (!key) return sign * compare(a, b);
    const x = key(a), y = key(b);
    if (x === null || y === null) return (x === null) - (y === null) || compare(a, b);
    return sign * (x - y) || compare(a, b);
  });
}

function sortKey(name) {
  if (name === "name") return null;
  if (name === "seconds") return (result) => (result.state === "failed" ? null : result.seconds);
  if (name.startsWith("metric:")) {
    const i = metrics.findIndex((metric) => "metric:" + metric.name === name);
    return (result) => result.metrics?.[i] ?? null;
  }
  const i = losses.indexOf(name.slice("loss:".length));
  return (result) => (result.state === "failed" ? null : result.losses[i]);
}

/* ---------- the bar ---------- */

function options(select, entries, value) {
  select.replaceChildren(...entries.map(([key, text]) => make("option", { value: key }, text)));
  select.value = value;
}

function drawBar() {
  const table = state.view === "table";
  byId("as-table").setAttribute("aria-pressed", table);
  byId("as-list").setAttribute("aria-pressed", !table);
  for (const id of ["rows", "columns"]) {
    byId(id + "-label").hidden = !table || axes.length < 2;
    options(byId(id), [...axes.map((_, i) => [i, axisName(i)]), [-1, "–"]], state[id]);
  }
  byId("sort-label").hidden = byId("direction").hidden = table;
  options(byId("sort"), sorts(), state.sort);
  byId("direction").textContent = state.down ? "↓" : "↑";
  byId("direction").setAttribute("aria-label", "Order: " + (state.down ? "descending" : "ascending"));
  drawFilters();
}

function sorts() {
  return [["name", "name"], ...losses.map((name) => ["loss:" + name, lossName(name)]),
    ...metrics.filter((metric) => metric.listed).map((metric) => ["metric:" + metric.name, metric.label, metric.meaning]),
    ["seconds", "seconds"]];
}
const lossName = (name) => (OWN.includes(name) ? name + " loss" : name);

function drawFilters() {
  const filter = state.filters[state.view];
  const placed = state.view === "table" ? [state.rows, state.columns] : [];
  const focused = document.activeElement?.dataset?.axis;
  for (const old of document.querySelectorAll(".filter")) old.remove();
  axes.forEach((axis, i) => {
    if (axis.values.length < 2 || placed.includes(i)) return;
    const select = make("select", { onchange: () => { filter[i] = Number(select.value); draw(); } });
    select.dataset.axis = i;
    options(select, [[-1, "all"], ...axis.values.map((value, v) => [v, value])], filter[i]);
    byId("find").before(make("label", { className: "filter" }, axisName(i) + " ", select));
    if (focused === String(i)) select.focus();
  });
}

function draw() {
  drawBar();
  const found = shown();
  drawing++;
  buttons = new Map();
  lines = [];
  order = [];
  const area = byId("area");
  area.replaceChildren();
  area.style.removeProperty("--side");
  area.scrollTo(0, 0);
  if (!found.length) area.append(make("p", { className: "empty" }, "Nothing matches."));
  else if (state.view === "list") drawList(area, sorted(found));
  else if (state.rows >= 0 && state.columns >= 0 && state.rows !== state.columns) drawTable(area, found);
  else drawFlow(area, found);
  drawCount(found);
}

function drawCount(found) {
  const failed = found.filter((result) => result.state !== "done").length;
  const of = found.length < results.length ? ` of ${results.length}` : "";
  byId("count").textContent =
    `${found.length}${of} result${results.length === 1 ? "" : "s"}` + (failed ? `, ${failed} without an image` : "");
}

/* Adds rows a few at a time, so that thousands of results do not keep the page waiting. */
function fill(parent, rows, cellsPerRow, build) {
  const mine = drawing;
  const step = Math.max(1, Math.floor(CHUNK / cellsPerRow));
  let next = 0;
  (function some() {
    if (mine !== drawing) return;
    const part = document.createDocumentFragment();
    for (const end = Math.min(rows.length, next + step); next < end; next++) part.append(build(rows[next]));
    parent.append(part);
    if (lines.length && !document.querySelector(".cell[tabindex='0']")) lines[0][0].tabIndex = 0;
    if (next < rows.length) setTimeout(some);
  })();
}

/* ---------- table, flow, list ---------- */

function cell(result) {
  const name = fullName(result);
  const button = make("button", { type: "button", className: "cell", tabIndex: -1 });
  if (result.state === "done") {
    button.append(image(thumbnail(result), result.thumb, name));
  } else {
    button.classList.add("bad");
    button.title = result.reason;
    button.append(make("b", {}, result.state), make("span", {}, result.reason));
    button.setAttribute("aria-label", `${name}, ${result.state}: ${result.reason}`);
  }
  button.onclick = () => open(result);
  buttons.set(result, button);
  return button;
}

function head(axis, value, scope) {
  const input = axes[axis].images?.[value];
  const text = axes[axis].values[value];
  const th = make("th", { scope, title: text });
  if (input?.thumb) th.append(image(`gallery/thumbs/${input.copy}`, input.thumb, ""));
  th.append(make("span", { className: "name" }, text));
  return th;
}

const used = (axis, found) => [...new Set(found.map((result) => result.at[axis]))].sort((a, b) => a - b);

function drawTable(area, found) {
  const columns = used(state.columns, found);
  const rows = used(state.rows, found);
  const places = new Map();
  for (const result of found.sort(compare)) {
    const key = result.at[state.rows] + "," + result.at[state.columns];
    if (!places.has(key)) places.set(key, []);
    places.get(key).push(result);
  }
  order = rows.flatMap((r) => columns.flatMap((c) => places.get(r + "," + c) ?? []));
  const corner = make("th", { scope: "col" }, `${axisName(state.rows)} ↓`, make("br"), `${axisName(state.columns)} →`);
  const body = make("tbody");
  widen(area, columns.length);
  area.append(make("table", { className: "grid", role: "grid" },
    make("colgroup", {}, make("col"), ...columns.map(() => make("col"))),
    make("thead", {}, make("tr", {}, corner, ...columns.map((c) => head(state.columns, c, "col")))),
    body));
  fill(body, rows, columns.length, (r) => {
    const line = [];
    const tr = make("tr", {}, head(state.rows, r, "row"));
    columns.forEach((c, position) => {
      const here = places.get(r + "," + c);
      if (!here) { tr.append(make("td", { className: "none" }, "–")); return; }
      const td = make("td");
      for (const result of here.slice(0, CROWD)) {
        const button = cell(result);
        button.dataset.column = position;
        td.append(button);
        line.push(button);
      }
      if (here.length > CROWD) {
        td.append(make("button", { type: "button", className: "more", onclick: () => open(here[CROWD]) },
          `${here.length - CROWD} more`));
      }
      tr.append(td);
    });
    lines.push(line);
    return tr;
  });
}

/* Few results stand in larger cells, as far as there is room and their thumbnails go. */
function widen(area, across) {
  area.style.removeProperty("--side");
  const least = parseFloat(getComputedStyle(area).getPropertyValue("--side"));
  const room = (area.clientWidth - 130) / across - 10;
  if (room > least) area.style.setProperty("--side", Math.floor(Math.min(room, 1.8 * least)) + "px");
}

function drawFlow(area, found) {
  const axis = Math.max(state.rows, state.columns);
  const others = axes.map((_, i) => i).filter((i) => i !== axis && used(i, found).length > 1);
  order = [...found].sort((a, b) => (axis < 0 ? 0 : a.at[axis] - b.at[axis]) || compare(a, b));
  const list = make("ul", { className: "flow" });
  widen(area, order.length);
  area.append(list);
  const line = [];
  lines = [line];
  fill(list, order, 1, (result) => {
    line.push(cell(result));
    const text = (axis < 0 ? others : [axis, ...others]).map((i) => label(i, result)).join(", ");
    return make("li", {}, buttons.get(result), make("span", { className: "name" }, text));
  });
}

function drawList(area, found) {
  order = found;
  const heading = (key, text, meaning) => {
    const mine = state.sort === key;
    const button = make("button", { type: "button", onclick: () => { sortBy(key); byId("area").querySelector(`[data-sort="${CSS.escape(key)}"]`).focus(); } },
      text + (mine ? (state.down ? " ↓" : " ↑") : ""));
    button.dataset.sort = key;
    return make("th", { scope: "col", title: meaning, "aria-sort": mine ? (state.down ? "descending" : "ascending") : null }, button);
  };
  const body = make("tbody");
  area.append(make("table", { className: metrics.length ? "list measured" : "list" },
    make("thead", {}, make("tr", {}, make("th", { scope: "col" }), ...sorts().map((sort) => heading(...sort)))),
    body));
  fill(body, found, sorts().length + 1, (result) => {
    const tr = make("tr", { onclick: (event) => { if (!event.target.closest("button")) open(result); } },
      make("td", {}, cell(result)));
    lines.push([buttons.get(result)]);
    tr.append(make("td", { className: "what" }, fullName(result)));
    if (result.state === "done") {
      const add = (name, value) => {
        const td = make("td", {}, show(value));
        td.dataset.label = name;
        tr.append(td);
      };
      losses.forEach((name, i) => { add(name, result.losses[i]); });
      metrics.forEach((metric, i) => { if (metric.listed) add(metric.label, result.metrics?.[i]); });
      add("seconds", result.seconds);
    } else {
      tr.append(make("td", { className: "why", colSpan: sorts().length - 1 }, result.reason));
    }
    return tr;
  });
}

function sortBy(key) {
  state.down = state.sort === key ? !state.down : false;
  state.sort = key;
  draw();
}

/* ---------- arrow keys among the results ---------- */

function step(from, key) {
  const at = lines.findIndex((line) => line.includes(from));
  if (at < 0) return null;
  const line = lines[at];
  const i = line.indexOf(from);
  if (key === "ArrowLeft") return line[i - 1];
  if (key === "ArrowRight") return line[i + 1];
  if (key === "Home") return line[0];
  if (key === "End") return line[line.length - 1];
  const down = key === "ArrowDown";
  if (lines.length === 1) {  // a flow: the nearest one in the next line of images
    const box = from.parentElement.getBoundingClientRect();
    const later = down ? line.slice(i + 1) : line.slice(0, i).reverse();
    const near = (button) => Math.abs(button.parentElement.getBoundingClientRect().left - box.left) < box.width / 2;
    return later.find(near);
  }
  if (from.dataset.column) {
    const stack = line.filter((button) => button.dataset.column === from.dataset.column);
    const neighbour = stack[stack.indexOf(from) + (down ? 1 : -1)];
    if (neighbour) return neighbour;
  }
  for (let j = at + (down ? 1 : -1); j >= 0 && j < lines.length; j += down ? 1 : -1) {
    const found = lines[j].filter((button) => button.dataset.column === from.dataset.column);
    if (found.length) return found[down ? 0 : found.length - 1];
  }
  return null;
}

function settle(button) {
  for (const old of document.querySelectorAll(".cell[tabindex='0']")) old.tabIndex = -1;
  button.tabIndex = 0;
}

byId("area").addEventListener("focusin", (event) => {
  const button = event.target.closest(".cell");
  if (button) settle(button);
});
byId("area").addEventListener("keydown", (event) => {
  const from = event.target.closest(".cell");
  const keys = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End"];
  if (!from || !keys.includes(event.key) || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  const to = step(from, event.key);
  if (to) reveal(to);
});

/* Into view, and not below the headers that stick. */
function reveal(button) {
  button.focus({ preventScroll: true });
  const area = byId("area");
  const top = area.querySelector("thead")?.offsetHeight ?? 0;
  const left = area.querySelector(".grid tbody th")?.offsetWidth ?? 0;
  const frame = area.getBoundingClientRect();
  const box = button.getBoundingClientRect();
  const by = (low, high, from, to) => (low < from ? low - from : high > to ? Math.min(high - to, low - from) : 0);
  area.scrollBy(by(box.left - 4, box.right + 4, frame.left + left, frame.left + area.clientWidth),
    by(box.top - 4, box.bottom + 4, frame.top + top, frame.top + area.clientHeight));
}

/* ---------- one result ---------- */

const box = byId("box");
let current = null;
let position = 0;  // of the slider in percent: kept from one result to the next

function open(result) {
  current = result;
  fillBox();
  if (!box.open) box.showModal();
  byId("what").focus();
}

function go(by) {
  const next = order[order.indexOf(current) + by];
  if (!next) return;
  const active = document.activeElement;
  current = next;
  fillBox();
  // The button that was pressed may have become disabled; a slider that had the focus is a new one.
  if (active.disabled || !active.isConnected) byId("what").focus();
}

function fillBox() {
  const at = order.indexOf(current);
  byId("what").replaceChildren(pairName(current),
    make("small", {}, [caseName(current), `${at + 1} of ${order.length}`].filter(Boolean).join(" · ")));
  byId("previous").disabled = at <= 0;
  byId("next").disabled = at >= order.length - 1;
  byId("body").replaceChildren(mainPart(current), sidePart(current), filmPart(current));
  byId("body").scrollTo(0, 0);
  for (const near of [order[at - 1], order[at + 1]]) {
    if (near?.state === "done") new Image().src = viewable(near);
  }
}

function mainPart(result) {
  const part = make("div");
  if (result.state === "done") part.append(...(result.film ? films(result) : stage(result)));
  else part.append(make("p", { className: "note" }, make("b", {}, result.state + ": "), result.reason));
  return part;
}

function filmPart(result) {
  const part = make("div", { className: "films" });
  if (result.files.includes("last-good.png")) {
    part.append(extra("Last good image", image(`${stem(result)}/last-good.png`, null, "the last good image")));
  }
  if (result.files.includes("curves.png")) {
    part.append(extra("Curves", image(`${stem(result)}/curves.png`, null, "loss, time and improvement by step")));
  }
  for (const file of result.files.filter((name) => /^(progress|turntable)\./.test(name))) {
    const src = `${stem(result)}/${file}`;
    part.append(extra(file.startsWith("t") ? "Turntable" : "Film", file.endsWith(".mp4")
      ? player(src)
      : image(src, null, file.startsWith("t") ? "a turn around the mesh" : "the course of the optimisation")));
  }
  const shots = result.files.filter((name) => name.startsWith("step-"));
  if (shots.length) {
    part.append(make("details", { className: "extra" }, make("summary", {}, `${shots.length} snapshots`),
      make("div", { className: "shots" }, ...shots.map((file) => {
        const src = `${stem(result)}/${file}`;
        const text = "step " + Number(file.match(/\d+/)[0]);
        return make("a", { href: src, target: "_blank" },
          make("figure", {}, image(src, null, text), make("figcaption", {}, text)));
      }))));
  }
  return part;
}

function extra(title, element) {
  return make("section", { className: "extra" }, make("h3", {}, title), element);
}

function player(src) {
  return make("video", { src, controls: true, loop: true, muted: true, playsInline: true, preload: "metadata" });
}

/* A film and its clip side by side, which play together; what the browser cannot play is shown by stills. */
function films(result) {
  const content = axes[inputs[0]].images[result.at[inputs[0]]];
  const film = player(result.href), clip = content.film && content.href ? player(content.href) : null;
  const shown = (video, still, text) => {
    const stills = still ? image(still, null, text) : make("div", { className: "blank" }, `not found: ${content.path}`);
    const figure = make("figure", {}, video ?? stills, make("figcaption", {}, text));
    video?.addEventListener("error", () => video.replaceWith(stills));
    return figure;
  };
  if (clip) {
    const follow = () => { if (Math.abs(clip.currentTime - film.currentTime) > 0.1) clip.currentTime = film.currentTime; };
    film.addEventListener("play", () => { follow(); clip.play().catch(() => {}); });
    film.addEventListener("pause", () => { clip.pause(); follow(); });
    film.addEventListener("seeked", follow);
  }
  const both = make("div", { className: "pair" },
    shown(film, result.shown, fullName(result)),
    shown(clip, content.view ? `gallery/views/${content.copy}` : null, label(inputs[0], result)));
  return [both];
}

function stage(result) {
  const [width, height] = result.size ?? result.thumb;
  const content = axes[inputs[0]].images[result.at[inputs[0]]];
  const alike = (a, b) => Math.abs(a[0] * b[1] - a[1] * b[0]) < 0.05 * a[1] * b[0];
  const slides = content.view && (inputs.length > 1 || alike(content.view, [width, height]));
  const fit = `width: min(100%, calc(70vh * ${width / height}), ${Math.max(width, 640)}px)`;
  const frame = make("div", { className: "stage", style: `${fit}; aspect-ratio: ${width} / ${height}` });
  frame.append(image(viewable(result), null, fullName(result), { className: "after", loading: "eager" }));
  const closer = result.zoom ? [make("p", { className: "closer" }, make("a", { href: zoomPage(result), target: "_blank" },
    `Look closer: all ${result.size.join(" × ")} pixels`))] : [];
  if (!slides) return [frame, ...closer];
  const range = make("input", { type: "range", min: 0, max: 100, step: 1, value: position, id: "wipe" });
  range.setAttribute("aria-label", "How much of the content is laid over the result, in percent");
  const set = (percent) => {
    position = Math.min(100, Math.max(0, percent));
    range.value = position;
    frame.style.setProperty("--at", position + "%");
  };
  frame.classList.add("slides");
  frame.append(image(`gallery/views/${content.copy}`, null, "", { className: "before", loading: "eager" }),
    make("span", { className: "line" }), make("span", { className: "knob" }, "↔"));
  const follow = (event) => {
    const edge = frame.getBoundingClientRect();
    set(100 * (event.clientX - edge.left) / edge.width);
  };
  frame.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    frame.setPointerCapture(event.pointerId);
    follow(event);
  });
  frame.addEventListener("pointermove", (event) => {
    if (frame.hasPointerCapture(event.pointerId)) follow(event);
  });
  range.addEventListener("input", () => set(Number(range.value)));
  set(position);
  return [frame, make("div", { className: "slider", style: fit }, "result", range, "content"), ...closer];
}

function sidePart(result) {
  const side = make("div", { className: "side" });
  side.append(make("div", { className: "sources" }, ...inputs.map((i) => source(i, result))));
  const terms = losses.map((name, i) => [name, result.losses[i], result.unweighted[i]])
    .filter(([, weighted, plain]) => weighted !== null || plain !== null);
  if (terms.length) {
    const plain = terms.some((term) => term[2] !== null);
    side.append(make("table", { className: "facts" }, make("caption", {}, "Losses"),
      make("thead", {}, make("tr", {}, ...["", "weighted", plain ? "unweighted" : null]
        .filter((text) => text !== null).map((text) => make("th", { scope: "col" }, text)))),
      make("tbody", {}, ...terms.map(([name, weighted, raw]) => make("tr", {}, make("th", { scope: "row" }, name),
        make("td", {}, show(weighted)), plain ? make("td", {}, show(raw)) : null)))));
  }
  if (result.metrics) side.append(...quality(result));
  side.append(facts("Making", [
    ["size", result.size ? result.size.join(" × ") + " px" : null],
    ["steps", result.steps], ["seconds", result.seconds], ["device", result.device],
  ]));
  const own = settings.differing.map((name, i) => [name, settings.variants[result.settings][i]]);
  if (own.length) side.append(facts("Settings that differ between results", own));
  const all = [...own, ...Object.entries(settings.common)];
  if (all.length) {
    side.append(make("details", {}, make("summary", {}, `All ${all.length} settings`), facts("", all)));
  }
  side.append(links(result), make("p", { className: "keys" },
    "← → previous, next · Esc closes · with the slider focused, the arrow keys move it"));
  return side;
}

function quality(result) {
  const table = make("table", { className: "facts" }, make("caption", {}, "Quality"),
    make("tbody", {}, ...metrics.map((metric, i) => make("tr", { title: metric.meaning },
      make("th", { scope: "row" }, metric.label), make("td", {}, show(result.metrics[i]))))));
  const kinds = Object.entries(result.layers).filter(([, values]) => values.some((value) => value !== null));
  if (!kinds.length) return [table];
  return [table, make("details", {}, make("summary", {}, "Quality by layer"),
    make("table", { className: "facts" },
      make("thead", {}, make("tr", {}, ...["", ...kinds.map(([name]) => name)].map((text) => make("th", { scope: "col" }, text)))),
      make("tbody", {}, ...DATA.layers.map((layer, i) => make("tr", {}, make("th", { scope: "row" }, layer),
        ...kinds.map(([, values]) => make("td", {}, show(values[i]))))))))];
}

function facts(title, entries) {
  const rows = entries.filter(([, value]) => value !== null && value !== undefined && value !== "");
  if (!rows.length) return "";
  return make("table", { className: "facts" }, title ? make("caption", {}, title) : null,
    make("tbody", {}, ...rows.map(([name, value]) =>
      make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, String(value))))));
}

function source(axis, result) {
  const input = axes[axis].images[result.at[axis]];
  const text = `${axisName(axis)}: ${label(axis, result)}`;
  const element = input.view
    ? image(`gallery/views/${input.copy}`, input.view, text)
    : make("div", { className: "blank" }, `not found: ${input.path || "no path"}`);
  return make("figure", {}, element, make("figcaption", {}, text, input.href ? " " : input.view ? " (the original has moved)" : "",
    input.href ? make("a", { href: input.href, target: "_blank" }, "original") : null));
}

function links(result) {
  const files = [];
  if (result.state === "done") files.push([result.href, result.film ? "film" : result.shown === result.href ? "image" : "mesh"]);
  if (result.files.includes("history.csv")) files.push([`${stem(result)}/history.csv`, "history.csv"]);
  if (result.yaml) files.push([`${stem(result)}.yaml`, "settings (YAML)"]);
  return make("ul", { className: "links" },
    ...files.map(([href, text]) => make("li", {}, make("a", { href, target: "_blank" }, text))));
}

byId("previous").onclick = () => go(-1);
byId("next").onclick = () => go(1);
byId("close").onclick = () => box.close();
box.addEventListener("click", (event) => { if (event.target === box) box.close(); });
box.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.target.closest("input, video")) return;
  if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
    event.preventDefault();
    go(event.key === "ArrowRight" ? 1 : -1);
  }
});
box.addEventListener("close", () => {
  byId("body").replaceChildren();  // ends a film
  const button = buttons.get(current);
  if (button) reveal(button);
});

/* ---------- begin ---------- */

byId("as-table").onclick = () => { state.view = "table"; draw(); };
byId("as-list").onclick = () => { state.view = "list"; draw(); };
for (const id of ["rows", "columns"]) {
  byId(id).onchange = () => {
    const other = id === "rows" ? "columns" : "rows";
    const before = state[id];
    state[id] = Number(byId(id).value);
    if (state[id] === state[other]) state[other] = before;  // they change places
    settleFilters();
    draw();
  };
}
byId("sort").onchange = () => { state.sort = byId("sort").value; state.down = false; draw(); };
byId("direction").onclick = () => { state.down = !state.down; draw(); };
let pause = 0;
byId("words").oninput = () => {
  clearTimeout(pause);
  pause = setTimeout(() => { state.words = byId("words").value; draw(); }, 120);
};
settleFilters();
draw();
