// Bytes by month, and ages of tags.

const KINDS = ["own", "between", "untagged", "orphaned", "unknown"];

function seriesName(series) {
  if (series.kind === "own") return series.name || "other names";
  return { between: "shared between names", untagged: "untagged", orphaned: "orphaned", unknown: "unknown" }[series.kind] ?? series.kind;
}

function seriesClass(series) { return series.kind === "own" ? colourOfName(series.name) : `fill-${series.kind}`; }

function inOrder(series) {
  const rank = (one) => KINDS.indexOf(one.kind) * 100 + (one.name ? data.top.indexOf(one.name) : 50);
  return series.filter((one) => one.sizes.some(Boolean)).sort((one, other) => rank(one) - rank(other));
}

// Put months together until bars are wide enough: a month, a quarter, a year.
function columns(months, width) {
  for (const [length, name] of [[1, (text) => text], [3, quarter], [12, (text) => text.slice(0, 4)]]) {
    const found = new Map();
    months.forEach((month, number) => {
      const key = name(month);
      if (!found.has(key)) found.set(key, []);
      found.get(key).push(number);
    });
    if (width / found.size >= 7 || length === 12) return [...found];
  }
  return [];
}

function quarter(month) { return `${month.slice(0, 4)} Q${Math.ceil(Number(month.slice(5)) / 3)}`; }

// Steps of an axis of bytes: a power of two times 1, 2, 4… of a unit, some four of them.
function steps(most) {
  let step = 1;
  while (most / step > 4.5) step *= 2;
  return Array.from({ length: Math.floor(most / step) + 1 }, (_, number) => number * step);
}

function startMonths() {
  const box = byId("months");
  const series = inOrder(data.months.series);
  if (!data.months.months.length) {
    box.append(element("p", { class: "muted", text: "No blob is stored." }));
    return;
  }
  const picture = element("div", { class: "chart" });
  const legend = element("ul", { class: "legend small" }, ...series.map((one) =>
    element("li", {}, element("span", { class: `swatch ${seriesClass(one)}` }), element("span", { text: seriesName(one) }))));
  box.append(picture, legend, monthsTable(series));
  let width = 0;
  const redraw = () => {
    if (picture.clientWidth !== width) { width = picture.clientWidth; drawMonths(picture, series); }
  };
  new ResizeObserver(redraw).observe(picture);
  redraw();
}

function drawMonths(box, series) {
  const width = box.clientWidth, font = parseFloat(getComputedStyle(box).fontSize);
  const height = Math.round(Math.max(200, Math.min(420, width * 0.42)));
  const left = font * 4.8, bottom = height - font * 1.9, top = font * 0.8;
  const found = columns(data.months.months, width - left);
  const sums = found.map(([, numbers]) => series.map((one) => numbers.reduce((sum, number) => sum + one.sizes[number], 0)));
  const most = Math.max(1, ...sums.map((column) => column.reduce((one, other) => one + other, 0)));
  const y = (size) => bottom - ((bottom - top) * size) / most;
  const each = (width - left) / found.length;
  const picture = drawn("svg", { width, height, role: "img", "aria-label": "Bytes stored by month; the table below has the numbers" });
  for (const step of steps(most)) {
    picture.append(drawn("line", { class: "grid", x1: left, x2: width, y1: y(step), y2: y(step) }));
    picture.append(drawn("text", { class: "axis", x: left - 6, y: y(step) + font * 0.3, "text-anchor": "end", text: readable(step) }));
  }
  const skip = Math.max(1, Math.ceil((font * 4.6) / each));
  found.forEach(([name], number) => {
    const column = drawn("g", { class: "column" });
    let sum = 0;
    sums[number].forEach((size, which) => {
      if (!size) return;
      column.append(drawn("rect", { class: seriesClass(series[which]), x: left + number * each + 0.5, width: Math.max(1, Math.min(each - 1.5, font * 4)), y: y(sum + size), height: Math.max(0, y(sum) - y(sum + size)) }));
      sum += size;
    });
    column.append(drawn("rect", { class: "touch", x: left + number * each, width: each, y: top, height: bottom - top }));
    column.addEventListener("pointermove", (event) => tip.show(event, [`${name}: ${readable(sum)}`,
      ...series.map((one, which) => [one, sums[number][which]]).filter(([, size]) => size).reverse().map(([one, size]) => `${seriesName(one)} ${readable(size)}`)]));
    column.addEventListener("pointerleave", tip.hide);
    picture.append(column);
    if (number % skip === 0 && number * each + font * 3 < width - left) {
      picture.append(drawn("text", { class: "axis", x: left + number * each, y: height - font * 0.5, text: name }));
    }
  });
  box.replaceChildren(picture);
}

// The same as a table, for who does not see pictures; made when it is opened.
function monthsTable(series) {
  const details = element("details", {}, element("summary", { text: "as a table" }));
  details.addEventListener("toggle", () => {
    if (details.children.length > 1) return;
    const head = element("tr", {}, element("th", { scope: "col", text: "month" }), ...series.map((one) => element("th", { scope: "col", class: "number", text: seriesName(one) })));
    const rows = data.months.months.map((month, number) => element("tr", {}, element("th", { scope: "row", text: month }),
      ...series.map((one) => element("td", { class: "number" }, one.sizes[number] ? bytes(one.sizes[number]) : ""))));
    details.append(element("div", { class: "scroll" }, element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows))));
  });
  return details;
}

function startAges(chosen) {
  const most = Math.max(1, ...data.ages.map((group) => group.tags));
  byId("ages").append(...data.ages.map((group) => {
    const bar = element("span", { class: "fill" });
    bar.style.width = `${(100 * group.tags) / most}%`;
    const button = element("button", { type: "button", class: "age", disabled: !group.tags, title: `their images' own bytes: ${count(group.own)}` },
      element("span", { class: "words", text: group.name }), element("span", { class: "track" }, bar),
      element("span", { class: "tags-number", text: count(group.tags) }), element("span", { class: "own muted", text: `${readable(group.own)} own` }));
    button.addEventListener("click", () => chosen(group));
    return button;
  }));
}
