// What is known of one tag: numbers, commands to copy, and what it named before as a timeline.

function reference(tag) {
  const host = byId("host").value.trim().replace(/\/+$/, "");
  return quoted(`${host || "REGISTRY"}/${tag.whole}`);
}

function pullCommand(tag) { return `docker pull ${reference(tag)}`; }

function openDetails(tag) {
  const box = byId("details");
  const close = element("button", { type: "button", class: "close", "aria-label": "close", text: "×" });
  close.addEventListener("click", () => box.close());
  box.replaceChildren(
    element("div", { class: "title" }, element("h2", { id: "details-title", text: tag.whole }), close),
    ...warnings(tag),
    facts(tag),
    element("h3", { text: "Commands" }),
    ...commands(tag),
    element("h3", { text: "History" }),
    ...history(tag),
  );
  tip.hide();
  if (!box.open) box.showModal();
  box.scrollTop = 0;
  drawTimeline(box, tag);
}

function warnings(tag) {
  const found = [];
  if (tag.flags & TAG.DAMAGED) found.push(["alarm", "It cannot be pulled, or not as it was pushed: see “What is wrong”."]);
  if (tag.flags & TAG.CANNOT_TELL) found.push(["unknown", "Whether it is whole is not known: something that it needs could not be read."]);
  if (!tag.image) found.push(["unknown", "What it names is not known: its link could not be read."]);
  return found.map(([kind, text]) => element("p", { class: `notice ${kind}`, text }));
}

function facts(tag) {
  const { image } = tag;
  const rows = [["pushed", `${minute(tag.pushed)}${tag.pushed === null ? "" : `, ${age(tag.pushed, now)} before this page`}`]];
  if (image) {
    rows.push(["digest", `sha256:${image.digest}…`], ["kind", image.kind]);
    if (image.platforms) rows.push(["platforms", image.platforms]);
    if (image.built !== null) rows.push(["built", minute(image.built)]);
    rows.push(["size", image.size === null ? "not known: its manifest is not stored" : bytes(image.size)]);
    rows.push(["its own", image.flags & IMAGE.OWN_UNKNOWN ? element("span", {}, bytes(image.own), ", some of which something that was not read may need") : bytes(image.own)]);
    const others = image.tags.filter((one) => one !== tag).map((one) => one.whole);
    if (others.length) rows.push(["also named", others.slice(0, 20).join(", ") + (others.length > 20 ? `, and ${others.length - 20} more` : "")]);
    for (const [name, flag] of [["signed", IMAGE.SIGNED], ["has an SBOM", IMAGE.SBOM], ["attested", IMAGE.ATTESTED]]) {
      const known = belonging(image, flag);
      rows.push([name, known === "no" ? "not that the store knows" : known === "unknown" ? "unknown: something was not read" : known]);
    }
  }
  if (tag.belongsTo) rows.push(["belongs to", tag.belongsTo]);
  return element("dl", { class: "facts" }, ...rows.flatMap(([name, value]) => [element("dt", { text: name }), element("dd", {}, value)]));
}

function commands(tag) {
  const found = [pullCommand(tag), `regfs explain ${quoted(data.store)} ${quoted(tag.whole)}`];
  return found.map((text) => element("div", { class: "command" }, element("code", { text }), copyButton("copy", () => text)));
}

function allPushes(tag) {
  const current = tag.image ? [{ pushed: tag.pushed, digest: tag.image.digest, size: tag.image.size, stored: true, current: true }] : [];
  return [...tag.former, ...current];
}

function history(tag) {
  const pushes = allPushes(tag);
  if (!pushes.length) return [element("p", { class: "muted", text: "Nothing is known of it." })];
  const words = (push) => (push.current ? "what it names now" : push.stored ? "still stored" : "no longer stored");
  const rows = [...pushes].reverse().map((push) => element("li", { class: push.current ? "current" : push.stored ? "stored" : "gone" },
    element("time", { text: minute(push.pushed) }), element("code", { text: push.digest }),
    element("span", {}, push.size === null ? "" : bytes(push.size)), element("span", { class: "muted", text: words(push) })));
  return [element("div", { class: "timeline" }), element("ol", { class: "pushes" }, ...rows)];
}

// A line from the first push to the day of the page, with a point for each push.
function drawTimeline(box, tag) {
  const place = box.querySelector(".timeline");
  const pushes = allPushes(tag).filter((push) => push.pushed !== null);
  if (!place || pushes.length < 1) return;
  const width = place.clientWidth, font = parseFloat(getComputedStyle(place).fontSize), height = font * 4.2, edge = font;
  const first = Math.min(...pushes.map((push) => push.pushed)), last = Math.max(now, ...pushes.map((push) => push.pushed));
  const x = (time) => edge + ((width - 2 * edge) * (time - first)) / Math.max(1, last - first);
  const picture = drawn("svg", { width, height, role: "img", "aria-label": `${plural(pushes.length, "push", "pushes")} since ${day(first)}; the list below has them` });
  picture.append(drawn("line", { class: "grid", x1: edge, x2: width - edge, y1: height / 2, y2: height / 2 }));
  for (const push of pushes) {
    const point = drawn("circle", { class: push.current ? "current" : push.stored ? "stored" : "gone", cx: x(push.pushed), cy: height / 2, r: font * (push.current ? 0.5 : 0.38) },
      drawn("title", { text: `${minute(push.pushed)} ${push.digest}` }));
    picture.append(point);
  }
  picture.append(drawn("text", { class: "axis", x: edge, y: height - 2, text: day(first) }));
  picture.append(drawn("text", { class: "axis", x: width - edge, y: height - 2, "text-anchor": "end", text: `${day(now)}, this page` }));
  place.replaceChildren(picture);
}
