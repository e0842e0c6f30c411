"use strict";
/* A large image from tiles: level 0 is the image itself, each further level is half as large. */
const DATA = JSON.parse(document.getElementById("data").textContent);
const { width, height, tile, levels } = DATA;
const byId = (id) => document.getElementById(id);
const canvas = byId("view");
const pen = canvas.getContext("2d", { alpha: false });
const KEPT = 200;     // tiles in memory, 1 MB each
const LARGEST = 16;   // screen pixels for one of the image

/* The point of the image in the middle of the window, and CSS pixels for one of its pixels. */
const view = { x: width / 2, y: height / 2, scale: 0 };
const tiles = new Map();   // name → image, the one used last at the end
const held = new Map();    // pointers that are down → where
let waiting = false;
let all = true;            // the whole is shown, and will be in a window of another size

/* ---------- what is seen ---------- */

const whole = () => Math.min(canvas.clientWidth / width, canvas.clientHeight / height);
const smallest = () => Math.min(whole(), 1 / devicePixelRatio);

function move(x, y, scale) {
  view.scale = Math.min(Math.max(scale, smallest()), LARGEST);
  all = view.scale <= whole();
  view.x = Math.min(Math.max(x, 0), width);
  view.y = Math.min(Math.max(y, 0), height);
  if (!waiting) {
    waiting = true;
    requestAnimationFrame(draw);
  }
}

/* Zooms so that the point of the image at (x, y) of the canvas stays there. */
function zoom(factor, x = canvas.clientWidth / 2, y = canvas.clientHeight / 2) {
  const scale = Math.min(Math.max(view.scale * factor, smallest()), LARGEST);
  const right = x - canvas.clientWidth / 2, down = y - canvas.clientHeight / 2;
  const kept = 1 / view.scale - 1 / scale;
  move(view.x + right * kept, view.y + down * kept, scale);
}

const showAll = () => move(width / 2, height / 2, whole());
const pan = (x, y) => move(view.x - x / view.scale, view.y - y / view.scale, view.scale);

/* ---------- tiles ---------- */

/* The tiles of a level that are in sight: [name, left, top, right, bottom in device pixels]. */
function* inSight(level, scale) {
  const side = tile * 2 ** level;
  const left = canvas.width / 2 - view.x * scale, top = canvas.height / 2 - view.y * scale;
  const first = (start) => Math.max(0, Math.floor(-start / scale / side));
  const last = (start, room, size) =>
    Math.min(Math.ceil(size / side), Math.ceil((room - start) / scale / side));
  // Edges are rounded alike for both neighbours: no seam shows.
  const edge = (start, size, i) => Math.round(start + Math.min(i * side, size) * scale);
  for (let row = first(top); row < last(top, canvas.height, height); row++) {
    for (let column = first(left); column < last(left, canvas.width, width); column++) {
      yield [
        `${level}/${column}-${row}.jpg`,
        edge(left, width, column), edge(top, height, row),
        edge(left, width, column + 1), edge(top, height, row + 1),
      ];
    }
  }
}

function load(name) {
  const image = new Image();
  image.ready = false;
  tiles.set(name, image);
  image.src = name;
  image.decode().then(
    () => { image.ready = true; move(view.x, view.y, view.scale); },
    () => {
      if (tiles.get(name) !== image) return;  // given up, out of sight
      byId("note").textContent = `${name} cannot be shown; run nst-batch report again.`;
      byId("note").hidden = false;
    },
  );
}

/* Forgets what is no longer in sight: tiles that are still being loaded, and the oldest. */
function forget(seen) {
  for (const [name, image] of tiles) {
    if (!seen.has(name) && (!image.ready || tiles.size > KEPT)) {
      tiles.delete(name);
      image.src = "";
    }
  }
}

/* Gives the canvas a pixel for each of the screen's, which are others on another screen. */
function fill() {
  const [across, down] = [canvas.clientWidth, canvas.clientHeight].map((side) => Math.round(side * devicePixelRatio));
  if (canvas.width !== across) canvas.width = across;
  if (canvas.height !== down) canvas.height = down;
}

function draw() {
  waiting = false;
  fill();
  const scale = view.scale * devicePixelRatio;
  const level = Math.min(Math.max(Math.floor(Math.log2(1 / scale)), 0), levels - 1);
  const seen = new Set();
  pen.fillStyle = getComputedStyle(document.body).backgroundColor;
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.imageSmoothingEnabled = scale < 4;
  pen.imageSmoothingQuality = "high";
  // Coarse levels first: what is loaded of them stands in for what is not.
  for (let at = levels - 1; at >= level; at--) {
    for (const [name, left, top, right, bottom] of inSight(at, scale)) {
      const image = tiles.get(name);
      if (image) {
        tiles.delete(name);
        tiles.set(name, image);
      } else if (at === level || at === levels - 1) load(name);
      else continue;
      seen.add(name);
      if (image?.ready) pen.drawImage(image, left, top, right - left, bottom - top);
    }
  }
  forget(seen);
  byId("share").textContent = `${width} × ${height} px · ${(100 * scale).toPrecision(3)} %`;
}

/* ---------- mouse, touch, keys ---------- */

function place(event) {
  const edge = canvas.getBoundingClientRect();
  return { x: event.clientX - edge.left, y: event.clientY - edge.top };
}

canvas.addEventListener("pointerdown", (event) => {
  if (event.button) return;
  canvas.setPointerCapture(event.pointerId);
  canvas.classList.add("held");
  held.set(event.pointerId, place(event));
});
canvas.addEventListener("pointermove", (event) => {
  const before = held.get(event.pointerId);
  if (!before) return;
  const now = place(event);
  held.set(event.pointerId, now);
  const others = [...held].filter(([id]) => id !== event.pointerId);
  if (!others.length) {
    pan(now.x - before.x, now.y - before.y);
    return;
  }
  const [, other] = others[0];  // two fingers: what is between them follows
  const apart = (point) => Math.hypot(point.x - other.x, point.y - other.y);
  pan((now.x - before.x) / 2, (now.y - before.y) / 2);
  zoom(apart(now) / Math.max(apart(before), 1), (now.x + other.x) / 2, (now.y + other.y) / 2);
});
for (const end of ["pointerup", "pointercancel"]) {
  canvas.addEventListener(end, (event) => {
    held.delete(event.pointerId);
    if (!held.size) canvas.classList.remove("held");
  });
}
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  const pixels = event.deltaY * (event.deltaMode ? 30 : 1);  // lines, in some browsers
  const { x, y } = place(event);
  zoom(Math.exp(-pixels / (event.ctrlKey ? 100 : 400)), x, y);
}, { passive: false });
canvas.addEventListener("dblclick", (event) => {
  const { x, y } = place(event);
  zoom(event.shiftKey ? 0.5 : 2, x, y);
});

const STEP = 0.2;  // of the window, for an arrow key
const KEYS = {
  ArrowLeft: () => pan(STEP * canvas.clientWidth, 0),
  ArrowRight: () => pan(-STEP * canvas.clientWidth, 0),
  ArrowUp: () => pan(0, STEP * canvas.clientHeight),
  ArrowDown: () => pan(0, -STEP * canvas.clientHeight),
  "+": () => zoom(1.5), "=": () => zoom(1.5), "-": () => zoom(1 / 1.5),
  0: showAll, Home: showAll,
  1: () => move(view.x, view.y, 1 / devicePixelRatio),
};
document.addEventListener("keydown", (event) => {
  const act = KEYS[event.key];
  if (!act || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  act();
});
byId("in").onclick = KEYS["+"];
byId("out").onclick = KEYS["-"];
byId("fit").onclick = showAll;
byId("one").onclick = KEYS[1];

/* ---------- begin ---------- */

byId("back").href = DATA.back;
byId("file").href = DATA.file;
canvas.setAttribute("aria-label", `${document.title}: arrow keys move it, + and − zoom, 0 shows the whole`);
const refit = () => { if (all) showAll(); else move(view.x, view.y, view.scale); };
new ResizeObserver(refit).observe(canvas);
addEventListener("resize", refit);  // also where only the screen's pixels have another size
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", refit);
