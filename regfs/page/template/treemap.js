// The map: each byte of the store once, as area. d3-hierarchy lays it out, and elements draw it.

const DEEP = 3;          // levels that are drawn at once
const SMALLEST = 24;     // square pixels; what is less is drawn together
const MOST = 40000;      // so many cells of that size could be drawn: on a large screen they are larger

const map = { root: null, focus: null, box: null, nodes: [], smallest: SMALLEST, chosen: () => {} };

function startMap(root, chosen) {
  Object.assign(map, { root, focus: root, box: byId("map"), chosen });
  map.box.addEventListener("click", (event) => act(whole(event)));
  map.box.addEventListener("pointermove", (event) => explain(event));
  map.box.addEventListener("pointerleave", tip.hide);
  map.box.addEventListener("keydown", onKey);
  let width = 0;
  new ResizeObserver(() => {
    if (map.box.clientWidth !== width) { width = map.box.clientWidth; draw(); }
  }).observe(map.box);
  width = map.box.clientWidth;
  draw();
}

function nodeAt(event) {
  const cell = event.target.closest?.(".cell");
  return cell ? map.nodes[Number(cell.dataset.node)] : null;
}

// What is one level below the focus, and holds what the event is about.
function whole(event) {
  let node = nodeAt(event);
  while (node && node.parent !== map.focus) node = node.parent;
  return node;
}

function act(node) {
  if (!node) return;
  if (node.children.length) enter(node);
  else if (node.tag) openDetails(node.tag);
}

function enter(node, from = null) {
  map.focus = node;
  tip.hide();
  draw();
  map.chosen(node);
  const cells = [...map.box.children];
  const back = from && cells.find((cell) => map.nodes[Number(cell.dataset.node)] === from);
  (back ?? cells[0])?.focus({ preventScroll: true });
}

function explain(event) {
  const node = nodeAt(event);
  if (!node) { tip.hide(); return; }
  tip.show(event, described(node));
}

// Of unfinished pushes an object store shows only so much.
function sizeOf(node) {
  return (node.kind === "uploads" && data.uploads_at_least ? "≥" : "") + readable(node.size);
}

function described(node) {
  const names = [];
  for (let at = node; at.parent && at !== map.focus; at = at.parent) names.unshift(at.name);
  const lines = [names.join(node.tag ? ":" : "/").replace(/:(?=.*:)/g, "/")];
  lines.push(`${sizeOf(node)} · ${share(node.size, data.total)} of the store`);
  if (node.kind === "names") lines.push(plural(node.number, "tag"));
  if (node.tag) {
    lines.push(`pushed ${day(node.tag.pushed)}`);
    if (node.tag.image.tags.length > 1) lines.push(`also ${node.tag.image.tags.slice(1, 6).map((tag) => tag.name).join(", ")}`);
    if (node.tag.image.flags & IMAGE.OWN_UNKNOWN) lines.push("what was not read may need some of it, too");
  }
  if (MEANING[node.kind]) lines.push(MEANING[node.kind]);
  return lines;
}

// Give what is drawn of a node: its larger children, and the others together.
function pruned(node, depth, pixels) {
  if (depth === 0 || !node.children.length) return { node, size: node.size };
  const children = [];
  const rest = { name: "", kind: "rest", parent: node, children: [], size: 0, number: 0, tag: null };
  for (const child of node.children) {
    if (child.size * pixels >= map.smallest) children.push(pruned(child, depth - 1, pixels));
    else { rest.size += child.size; rest.number += 1; }
  }
  if (!children.length) return { node, size: node.size };
  if (rest.size) {
    rest.name = `${count(rest.number)} smaller`;
    children.push({ node: rest, size: rest.size });
  }
  return { node, children, size: 0 };
}

function draw() {
  const width = map.box.clientWidth, height = map.box.clientHeight;
  const line = parseFloat(getComputedStyle(map.box).fontSize) * 1.45;
  map.smallest = Math.max(SMALLEST, (width * height) / MOST);
  const hierarchy = d3.hierarchy(pruned(map.focus, DEEP, (width * height) / (map.focus.size || 1)), (one) => one.children)
    .sum((one) => one.size);
  d3.treemap()
    .size([width, height])
    .round(true)
    .paddingInner(1)
    .paddingTop((one) => (one.depth && hasHead(one, line) ? line : one.depth ? 1 : 0))
    .paddingRight((one) => (one.depth ? 1 : 0)).paddingBottom((one) => (one.depth ? 1 : 0)).paddingLeft((one) => (one.depth ? 1 : 0))(hierarchy);
  map.nodes = [];
  const cells = (hierarchy.children ?? []).map((one) => cell(one, 0, 0, line)).filter(Boolean);
  if (!cells.length) cells.push(element("p", { class: "muted empty", text: "nothing is stored here" }));
  map.box.replaceChildren(...cells);
  showWay();
}

function hasHead(one, line) { return one.x1 - one.x0 > line * 2.4 && one.y1 - one.y0 > line * 2.2; }

function cell(one, left, top, line) {
  const width = one.x1 - one.x0, height = one.y1 - one.y0, { node } = one.data;
  if (width < 1 || height < 1) return null;
  const outermost = one.depth === 1, inner = one.children ?? [];
  const made = document.createElement("div");
  made.className = `cell ${colourOf(node)}${inner.length ? " group" : ""}`;
  made.dataset.node = map.nodes.push(node) - 1;
  made.style.cssText = `left:${one.x0 - left}px;top:${one.y0 - top}px;width:${width}px;height:${height}px`;
  if (outermost && node.kind !== "rest") {
    made.setAttribute("role", "button");
    made.setAttribute("tabindex", map.nodes.length === 1 ? "0" : "-1");
    made.setAttribute("aria-label", `${described(node).join(", ")}`);
  }
  made.append(...label(node, width, height, inner.length > 0, line));
  made.append(...inner.map((child) => cell(child, one.x0, one.y0, line)).filter(Boolean));
  return made;
}

// What is written in a cell, if there is room for it. Most cells are small: for those nothing is made.
function label(node, width, height, head, line) {
  const name = () => element("span", { class: "label", text: node.name });
  const size = () => element("span", { class: "size", text: sizeOf(node) });
  if (head) {
    if (width <= line * 2.4 || height <= line * 2.2) return [];
    return [element("div", { class: "head" }, name(), width > line * 5 ? size() : "")];
  }
  if (width < line * 1.8 || height < line * 0.95) return [];
  if (height > line * 1.9 && width > line * 3.6) return [element("div", { class: "text" }, name(), size())];
  return [element("div", { class: "head" }, name(), width > line * 7 ? size() : "")];
}

function showWay() {
  const way = [];
  for (let at = map.focus; at; at = at.parent) way.unshift(at);
  byId("way").replaceChildren(...way.flatMap((node, number) => {
    const last = number === way.length - 1;
    const words = number ? node.name : "the store";
    const step = last
      ? element("strong", { "aria-current": "location", text: words })
      : element("button", { type: "button", class: "link", text: words });
    if (!last) step.addEventListener("click", () => enter(node));
    return number ? [element("span", { class: "muted", text: " / " }), step] : [step];
  }), element("span", { class: "muted" }, "  ", bytes(map.focus.size), map.focus.parent ? ` · ${share(map.focus.size, data.total)} of the store` : ""));
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function onKey(event) {
  if (event.altKey || event.ctrlKey || event.metaKey) return;
  if (event.key === "Enter" || event.key === " ") act(whole(event));
  else if ((event.key === "Escape" || event.key === "Backspace") && map.focus.parent) enter(map.focus.parent, map.focus);
  else if (ARROWS[event.key]) move(event.target.closest(".cell"), ...ARROWS[event.key]);
  else return;
  event.preventDefault();
}

// Go to the nearest cell in a direction.
function move(from, x, y) {
  const middle = (cell) => [cell.offsetLeft + cell.offsetWidth / 2, cell.offsetTop + cell.offsetHeight / 2];
  if (!from) return;
  const [fromX, fromY] = middle(from);
  let best = null, least = Infinity;
  for (const cell of map.box.querySelectorAll(":scope > [role=button]")) {
    const [toX, toY] = middle(cell);
    const along = (toX - fromX) * x + (toY - fromY) * y;
    const aside = Math.abs((toX - fromX) * y) + Math.abs((toY - fromY) * x);
    if (cell !== from && along > 0 && along + 2 * aside < least) { best = cell; least = along + 2 * aside; }
  }
  if (!best) return;
  from.tabIndex = -1;
  best.tabIndex = 0;
  best.focus({ preventScroll: true });
}
