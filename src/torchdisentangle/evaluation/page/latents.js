"use strict";

const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId("content").textContent);
const matrices = data.matrices;
const steps = data.values.length;
const positions = data.latents.map((_, position) => position);
const rest = data.startValues.map(nearest); // the step at which a slider waits
const state = { moved: null, step: null, matrix: 0, row: null, column: null, held: false };
let order = positions;
let sheets; // of images, or the numbers themselves
let geometry; // of the heat map

function nearest(value) {
  const distances = data.values.map((one) => Math.abs(one - (value ?? 0)));
  return distances.indexOf(Math.min(...distances));
}

const named = (position) => `latent ${data.latents[position]}`;
const signed = (value) => (value > 0 ? "+" : "") + String(+value.toFixed(2)).replace("-", "−");
const number = (value) => (value === null ? "unknown" : Math.abs(value) < 10 ? value.toFixed(3) : value.toPrecision(4));
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function element(tag, properties = {}, ...children) {
  const one = Object.assign(document.createElement(tag), properties);
  one.append(...children);
  return one;
}

// ---- Frames: decoded data, each drawn into one cell of a canvas ----

const areImages = data.kind === "images";
const stripOf = (position) => data.values.map((_, step) => stripFrame(position, step));

function baseFrame() {
  return areImages ? { sheet: sheets.base, size: data.size, x: 0, y: 0 } : { numbers: data.base, trail: [] };
}

function stripFrame(position, x) {
  const strip = data.strips[position];
  return areImages ? { sheet: sheets.strips[position], size: data.size, x, y: 0 } : { numbers: strip[x], trail: strip };
}

function gridOf(pair, rowFirst) {
  const index = data.pairValues.map((_, k) => k);
  const grid = data.grids[pair];
  const cell = (y, x) => (areImages
    ? { sheet: sheets.grids[pair], size: data.pairSize, x, y }
    : { numbers: grid[y][x], trail: rowFirst ? grid[y] : grid.map((row) => row[x]) });
  return index.map((row) => index.map((column) => (rowFirst ? cell(row, column) : cell(column, row))));
}

function paint(canvas, rows, chosen = null, side = 120) {
  const context = canvas.getContext("2d");
  const [width, height] = areImages ? rows[0][0].size : [side, side];
  canvas.width = (width + 1) * rows[0].length - 1; // a line of one pixel between frames
  canvas.height = (height + 1) * rows.length - 1;
  rows.forEach((row, y) => row.forEach((one, x) => {
    context.save();
    context.translate(x * (width + 1), y * (height + 1));
    if (areImages) {
      context.drawImage(one.sheet, one.x * width, one.y * height, width, height, 0, 0, width, height);
    } else {
      plot(context, one, side);
    }
    if (x === chosen) {
      context.strokeStyle = colour("--accent");
      context.lineWidth = height / 12;
      context.strokeRect(height / 24, height / 24, width - height / 12, height - height / 12);
    }
    context.restore();
  }));
}

function ends(values) {
  const finite = values.flat(Infinity).filter((value) => value !== null);
  return finite.length ? finite.reduce(([low, high], one) => [Math.min(low, one), Math.max(high, one)], [finite[0], finite[0]]) : [0, 1];
}

const everything = () => [data.base, ...data.strips.flat(1), ...data.grids.flat(2)];
const limits = areImages ? null : data.kind === "points"
  ? alike([0, 1].map((axis) => ends(everything().map((one) => one[axis]))))
  : [[0, Math.max(data.base.length - 1, 1)], ends(everything())];

function alike(ranges) { // of one length, so that a circle is a circle
  const half = Math.max(...ranges.map(([low, high]) => high - low)) / 2;
  return ranges.map(([low, high]) => [(low + high) / 2 - half, (low + high) / 2 + half]);
}

function plot(context, { numbers, trail }, side) {
  const unit = side / 120;
  const room = side - 20 * unit;
  const [[left, right], [low, high]] = limits;
  const place = ([x, y]) => [
    10 * unit + room * ((x - left) / (right - left || 1)),
    10 * unit + room * (1 - (y - low) / (high - low || 1)),
  ];
  const trace = (points, stroke, radius) => {
    const known = points.filter((point) => !point.includes(null)).map(place);
    context.strokeStyle = context.fillStyle = stroke;
    context.lineWidth = 1.5 * unit;
    context.beginPath();
    known.forEach(([x, y]) => context.lineTo(x, y));
    context.stroke();
    for (const [x, y] of radius ? known : []) {
      context.beginPath();
      context.arc(x, y, radius * unit, 0, 2 * Math.PI);
      context.fill();
    }
  };
  context.strokeStyle = colour("--line");
  context.lineWidth = unit;
  context.strokeRect(0, 0, side, side);
  if (data.kind === "points") {
    trace(trail, colour("--soft"), 1.5);
    trace([data.base], colour("--soft"), 4);
    trace([numbers], colour("--accent"), 5);
  } else {
    const radius = numbers.length > 32 ? 0 : 2;
    const points = (one) => one.map((value, entry) => [entry, value]);
    trace(points(data.base), colour("--soft"), radius);
    trace(points(numbers), colour("--accent"), radius);
  }
}

// ---- Sliders ----

const items = positions.map((position) => {
  const id = `slider-${position}`;
  const slider = element("input", { type: "range", id, min: 0, max: steps - 1, step: 1 });
  slider.addEventListener("input", () => move(position, +slider.value));
  const about = element("small");
  const strip = stripCanvas(position);
  const item = element("li", {},
    element("label", { htmlFor: id }, named(position), about), slider, element("output", { htmlFor: id }), strip);
  return Object.assign(item, { slider, strip, about, output: item.querySelector("output") });
});

function paintStrip(position) {
  const { strip } = items[position];
  paint(strip, [stripOf(position)], position === state.moved ? state.step : null);
  strip.style.width = `${(2.75 * strip.width) / strip.height}rem`;
  strip.style.imageRendering = strip.height < 44 ? "pixelated" : "auto"; // smooth where pixels are merged
}

function stripCanvas(position) {
  const canvas = element("canvas", { className: "strip", title: "click a picture to see it large", ariaHidden: true });
  canvas.addEventListener("click", (event) => move(position, Math.floor((event.offsetX / canvas.clientWidth) * steps)));
  return canvas;
}

function move(position, step) {
  const before = state.moved;
  Object.assign(state, { moved: position, step: position === null ? null : Math.min(Math.max(step, 0), steps - 1) });
  [before, position].filter((one) => one !== null).forEach(paintStrip);
  showMoved();
  remember();
}

function showMoved() {
  const { moved, step } = state;
  paint(byId("picture"), [[moved === null ? baseFrame() : stripFrame(moved, step)]], null, 480);
  const caption = moved === null
    ? `The start: ${data.start}.`
    : `${named(moved)} at ${signed(data.values[step])} standard deviations, the others at the start.`;
  byId("caption").textContent = caption;
  byId("picture").setAttribute("aria-label", caption);
  byId("back").disabled = moved === null;
  items.forEach((item, position) => {
    const value = position === moved ? data.values[step] : data.startValues[position];
    item.classList.toggle("moved", position === moved);
    item.slider.value = position === moved ? step : rest[position];
    item.output.textContent = value === null ? "unknown" : signed(value);
    item.slider.setAttribute("aria-valuetext", `${item.output.textContent} standard deviations`);
  });
}

const orders = [
  { label: "change of the data" },
  { label: "number", keys: data.latents.map((latent) => -latent) },
  ...data.columns.map(({ label, values }) => ({ label, keys: values, values })),
];

function sort(chosen) {
  const { label, keys, values } = orders[chosen];
  const key = (position) => keys[position] ?? -Infinity;
  order = keys ? [...positions].sort((a, b) => key(b) - key(a) || a - b) : positions;
  items.forEach((item, position) => (item.about.textContent = values ? number(values[position]) : ""));
  byId("latents").append(...order.map((position) => items[position]));
  showRelations();
}

// ---- Matrices ----

const isSquare = (matrix) => !matrix.factors;
const columnsOf = (matrix) => (isSquare(matrix) ? order : matrix.factors.map((_, factor) => factor));
const columnName = (matrix, column) => (isSquare(matrix) ? named(column) : matrix.factors[column]);
const isEmpty = (matrix, row, column) =>
  matrix.values[row][column] === null || (isSquare(matrix) && row === column);
const shared = new Map(data.pairs.map(([a, b], pair) => [`${a},${b}`, pair]));

function pairOf(row, column) {
  const both = [data.latents[row], data.latents[column]].sort((a, b) => a - b);
  return shared.get(both.join(","));
}

function topOf(matrix) {
  const known = matrix.values.flatMap((values, row) => values.filter((_, column) => !isEmpty(matrix, row, column)));
  return Math.max(...known, 1e-9);
}

function layOut(matrix, context) {
  const columns = columnsOf(matrix);
  const names = columns.map((column) => (isSquare(matrix) ? String(data.latents[column]) : matrix.factors[column]));
  const longest = Math.max(...names.map((name) => context.measureText(name).width));
  const left = 34;
  const top = isSquare(matrix) ? 22 : Math.min(longest, 150) + 12;
  const room = Math.min(byId("relations").clientWidth, 560) - left - 2;
  const fit = (space, count) => Math.min(Math.max(Math.floor(space / count), 4), 44);
  const height = fit(560, order.length);
  const width = isSquare(matrix) ? Math.min(fit(room, columns.length), height) : fit(room, columns.length);
  return { matrix, columns, names, left, top, width, height: isSquare(matrix) ? width : height };
}

function paintHeat() {
  const canvas = byId("heat");
  const context = canvas.getContext("2d");
  const font = "12px system-ui, sans-serif";
  context.font = font;
  geometry = layOut(matrices[state.matrix], context);
  const { matrix, columns, names, left, top, width, height } = geometry;
  const size = [left + width * columns.length + 2, top + height * order.length + 2];
  const density = window.devicePixelRatio || 1;
  [canvas.width, canvas.height] = size.map((one) => one * density);
  [canvas.style.width, canvas.style.height] = size.map((one) => `${one}px`);
  Object.assign(canvas.style, { aspectRatio: `${size[0]} / ${size[1]}`, maxWidth: "none" });
  context.scale(density, density);
  context.font = font;
  const largest = topOf(matrix);
  const [low, high] = ["--low", "--high"].map((name) => colour(name).split(",").map(Number));
  const ink = { ground: colour("--ground"), ink: colour("--ink"), soft: colour("--soft"), empty: colour("--empty") };
  const marks = shared.size < (positions.length * (positions.length - 1)) / 2;
  const gap = width > 12 ? 1 : 0;
  order.forEach((row, y) => columns.forEach((column, x) => {
    const empty = isEmpty(matrix, row, column);
    const value = matrix.values[row][column];
    const share = empty ? 0 : Math.min(Math.max(value / largest, 0), 1);
    context.fillStyle = empty ? ink.empty : `rgb(${low.map((one, k) => one + share * (high[k] - one)).join(",")})`;
    context.fillRect(left + x * width, top + y * height, width - gap, height - gap);
    context.fillStyle = share > 0.5 ? ink.ground : ink.ink;
    if (width >= 34 && height >= 18 && !empty) {
      context.textAlign = "center";
      context.fillText(value < 0.005 ? "0" : value.toFixed(2), left + (x + 0.5) * width, top + (y + 0.5) * height + 4);
    } else if (isSquare(matrix) && marks && pairOf(row, column) !== undefined) {
      context.fillRect(left + (x + 0.5) * width - 1, top + (y + 0.5) * height - 1, 2, 2);
    }
  }));
  context.fillStyle = ink.soft;
  const every = (cell) => Math.max(Math.ceil(15 / cell), 1);
  context.textAlign = "right";
  order.forEach((row, y) => {
    if (y % every(height) === 0) context.fillText(data.latents[row], left - 6, top + (y + 0.5) * height + 4);
  });
  columns.forEach((_, x) => {
    if (x % every(width / (isSquare(matrix) ? 1.4 : 1)) !== 0) return;
    context.save();
    context.translate(left + (x + 0.5) * width, top - 7);
    context.textAlign = isSquare(matrix) ? "center" : "left";
    if (!isSquare(matrix)) {
      context.translate(4, 0);
      context.rotate(-Math.PI / 2);
    }
    context.fillText(names[x], 0, 0, isSquare(matrix) ? undefined : 150);
    context.restore();
  });
  if (state.row !== null) {
    context.strokeStyle = colour("--ink");
    context.lineWidth = state.held ? 3 : 2;
    const [x, y] = [columns.indexOf(state.column), order.indexOf(state.row)];
    context.strokeRect(left + x * width, top + y * height, width - gap, height - gap);
  }
  byId("top").textContent = number(largest);
  byId("dots").hidden = !isSquare(matrix) || !marks;
  canvas.setAttribute("aria-label", `${matrix.label}; walk through the cells with the arrow keys`);
}

function stripFigure(position) {
  const canvas = stripCanvas(position);
  paint(canvas, [stripOf(position)]);
  const scale = [0, Math.floor((steps - 1) / 2), steps - 1].map((step) => element("span", {}, signed(data.values[step])));
  return element("figure", {},
    element("figcaption", {}, `${named(position)}, in standard deviations`), canvas,
    element("div", { className: "scale" }, ...scale));
}

function gridFigure(row, column) {
  const pair = pairOf(row, column);
  if (pair === undefined) {
    return element("p", { className: "soft" }, "This pair is not among those that are shown moved together.");
  }
  const canvas = element("canvas", { className: "grid" });
  paint(canvas, gridOf(pair, data.pairs[pair][0] === data.latents[row]));
  const caption = `Both moved: ${named(row)} from top to bottom, ${named(column)} from left to right`;
  canvas.setAttribute("aria-label", caption);
  return element("figure", {}, element("figcaption", {}, caption), canvas);
}

function bars(entries, largest) {
  return element("div", { className: "bars" }, ...entries.flatMap(([name, value, chosen]) => {
    const filled = element("span", { className: "filled" });
    filled.style.width = `${100 * Math.min(Math.max((value ?? 0) / largest, 0), 1)}%`;
    return [
      element("span", { className: chosen ? "chosen" : "" }, name),
      element("span", { className: "track" }, filled),
      element("span", {}, number(value)),
    ];
  }));
}

function factorFigures(matrix, row, column) {
  const largest = topOf(matrix);
  const byValue = [...positions].sort((a, b) => (matrix.values[b][column] ?? -1) - (matrix.values[a][column] ?? -1));
  const [best, next] = byValue.map((position) => matrix.values[position][column]);
  const gap = best === null || (next ?? null) === null ? [] : [element("p", { className: "soft" },
    `The best two differ by ${number(best - next)}.`)];
  return [
    element("p", {}, `${named(row)} and each factor`),
    bars(matrix.factors.map((name, factor) => [name, matrix.values[row][factor], factor === column]), largest),
    element("p", {}, `${matrix.factors[column]} and its best latents`),
    bars(byValue.slice(0, 5).map((position) => [named(position), matrix.values[position][column], position === row]), largest),
    ...gap,
  ];
}

function showPair() {
  const matrix = matrices[state.matrix];
  const { row, column } = state;
  if (row === null) {
    byId("pair").replaceChildren(element("p", { className: "soft" }, "Point at a cell to see the pair."));
    return;
  }
  const alone = isSquare(matrix) && row === column;
  const heading = alone ? named(row) : `${named(row)} and ${columnName(matrix, column)}`;
  const value = alone ? [] : [element("p", {}, `${matrix.label}: ${number(matrix.values[row][column])}`)];
  const figures = isSquare(matrix)
    ? [...new Set([row, column])].map(stripFigure).concat(alone ? [] : [gridFigure(row, column)])
    : [stripFigure(row), ...factorFigures(matrix, row, column)];
  byId("pair").replaceChildren(element("h3", {}, heading), ...value, ...figures);
}

function showRelations() {
  if (!matrices.length) return;
  paintHeat();
  showPair();
}

function select(row, column) {
  if (row === state.row && column === state.column) return;
  Object.assign(state, { row, column });
  showRelations();
  remember();
}

function cellAt(event) {
  const { columns, left, top, width, height } = geometry;
  const [x, y] = [Math.floor((event.offsetX - left) / width), Math.floor((event.offsetY - top) / height)];
  return x in columns && y in order ? [order[y], columns[x]] : null;
}

function walk(event) {
  const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
  if (!step) return;
  event.preventDefault();
  const { columns } = geometry;
  const bounded = (value, length) => Math.min(Math.max(value, 0), length - 1);
  const [y, x] = state.row === null ? [0, 0] : [order.indexOf(state.row) + step[0], columns.indexOf(state.column) + step[1]];
  select(order[bounded(y, order.length)], columns[bounded(x, columns.length)]);
}

function choose(matrix) {
  const kept = isSquare(matrices[matrix]) === isSquare(matrices[state.matrix]);
  Object.assign(state, { matrix, held: false }, kept ? {} : { row: null, column: null });
  byId("matrix").value = matrix;
  showRelations();
  remember();
}

// ---- The address holds the state, so that a view can be shared ----

function remember() {
  const { moved, step, matrix, row, column } = state;
  const parts = moved === null ? {} : { latent: data.latents[moved], step };
  if (row !== null) {
    Object.assign(parts, { matrix, row: data.latents[row] });
    parts.column = isSquare(matrices[matrix]) ? data.latents[column] : column;
  }
  try {
    history.replaceState(null, "", `#${new URLSearchParams(parts)}`);
  } catch {
    // a page inside of another has no address of its own
  }
}

function recall() {
  const given = new URLSearchParams(location.hash.slice(1));
  const find = (name, among) => (given.has(name) ? among.indexOf(+given.get(name)) : -1);
  const moved = find("latent", data.latents);
  if (moved >= 0) move(moved, +given.get("step") || 0);
  const matrix = find("matrix", [...matrices.keys()]);
  if (matrix < 0) return;
  choose(matrix);
  const row = find("row", data.latents);
  const column = find("column", isSquare(matrices[matrix]) ? data.latents : columnsOf(matrices[matrix]));
  if (row >= 0 && column >= 0) select(row, column);
}

function load(source) {
  const image = new Image();
  return new Promise((resolve, reject) => Object.assign(image, { onload: () => resolve(image), onerror: reject, src: source }));
}

async function start() {
  sheets = { strips: [], grids: [] };
  if (areImages) {
    const loaded = (sources) => Promise.all(sources.map(load));
    sheets = { base: await load(data.base), strips: await loaded(data.strips), grids: await loaded(data.grids) };
  }
  const ends = [0, steps - 1].map((step) => signed(data.values[step]));
  byId("about").textContent = `One latent at a time is moved from ${ends.join(" to ")} standard deviations of the prior. `
    + `The others stay at ${data.start}.`;
  byId("notes").append(...data.notes.map((note) => element("p", {}, note)));
  byId("order").append(...orders.map(({ label }, value) => element("option", { value }, label)));
  byId("order").addEventListener("change", (event) => sort(+event.target.value));
  byId("back").addEventListener("click", () => move(null));
  byId("matrix").append(...matrices.map(({ label }, value) => element("option", { value }, label)));
  byId("matrix").addEventListener("change", (event) => choose(+event.target.value));
  byId("relations").hidden = !matrices.length;
  const heat = byId("heat");
  heat.addEventListener("pointermove", (event) => {
    const cell = cellAt(event);
    if (cell && !state.held) select(...cell);
  });
  heat.addEventListener("click", (event) => {
    const cell = cellAt(event);
    if (!cell) return;
    state.held = !(state.held && cell[0] === state.row && cell[1] === state.column);
    select(...cell);
    showRelations();
  });
  heat.addEventListener("keydown", walk);
  const repaint = () => {
    positions.forEach(paintStrip);
    showMoved();
    showRelations();
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
  window.addEventListener("resize", showRelations);
  window.addEventListener("hashchange", recall);
  sort(0);
  repaint();
  recall();
  document.body.dataset.ready = "yes";
}

start();
