// The table of tags: one filter, an order, and what each row leads to.

const ROWS = 100;

const COLUMNS = [
  { name: "tag", key: (tag) => tag.whole, text: true },
  { name: "own", title: "bytes that no other tagged image needs", key: (tag) => tag.image?.own ?? -1 },
  { name: "size", title: "bytes of all that it leads to", key: (tag) => tag.image?.size ?? -1 },
  { name: "pushed", key: (tag) => tag.pushed ?? -1 },
  { name: "pushes", title: "how many images it has named", key: (tag) => tag.former.length + 1 },
  { name: "kind", key: (tag) => `${tag.image?.kind ?? ""} ${tag.image?.platforms ?? ""}`, text: true },
  { name: "signed", title: "a signature, SBOM or attestation of it is in the store", key: (tag) => (tag.image ? tag.image.flags & 7 : -1) },
  { name: "", title: "", key: null },
];

const older = (days) => (tag) => tag.pushed !== null && now - tag.pushed >= days * DAY;
const has = (flag, known) => (tag) => isImage(tag) && belonging(tag.image, flag) === known;

function isImage(tag) { return tag.image !== null && (tag.image.kind === "image" || tag.image.kind === "index"); }

const SHOWN = [
  ["all", "all tags", () => true],
  ["90d", "pushed over 90 days ago", older(90)],
  ["365d", "pushed over a year ago", older(365)],
  ["moved", "named other images before", (tag) => tag.former.length > 0],
  ["shared", "whose image has other tags", (tag) => tag.image !== null && tag.image.tags.length > 1],
  ["signed", "signed", has(IMAGE.SIGNED, "yes")],
  ["unsigned", "not signed, as far as is known", has(IMAGE.SIGNED, "no")],
  ["sbom", "with an SBOM", has(IMAGE.SBOM, "yes")],
  ["no-sbom", "without an SBOM, as far as is known", has(IMAGE.SBOM, "no")],
  ["belongs", "signatures and such", (tag) => tag.belongsTo !== ""],
  ["damaged", "damaged, or not known to be whole", (tag) => tag.flags !== 0 || tag.image === null],
];

const table = { column: 1, falling: true, rows: ROWS, within: "", ages: null, found: [] };

function startTags() {
  byId("host").value = data.host || stored("host");
  byId("which").append(...SHOWN.map(([value, words]) => element("option", { value, text: words })));
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("filter").addEventListener("input", () => find());
  byId("which").addEventListener("change", () => find());
  byId("host").addEventListener("input", () => { store("host", byId("host").value); list(); });
  byId("more").addEventListener("click", () => { table.rows += ROWS; list(); });
  const body = byId("tags").tBodies[0];
  body.addEventListener("click", (event) => {
    const row = event.target.closest("tr");
    if (row && !window.getSelection()?.toString()) openDetails(tags[Number(row.dataset.tag)]);
  });
  find();
}

// Only a convenience: a browser may refuse to keep anything for a file.
function stored(name) { try { return localStorage.getItem(`regfs ${name}`) ?? ""; } catch { return ""; } }
function store(name, value) { try { localStorage.setItem(`regfs ${name}`, value); } catch { /* not kept */ } }

function words(tag) {
  tag.words ??= `${tag.whole} ${tag.image?.digest ?? ""} ${tag.image?.kind ?? ""} ${tag.image?.platforms ?? ""} ${tag.belongsTo}`.toLowerCase();
  return tag.words;
}

function showWithin(path) { table.within = path; find(); }

function showAge(group) {
  table.ages = group;
  find();
  byId("tags-title").scrollIntoView({ block: "start" });
}

function find() {
  const wanted = byId("filter").value.toLowerCase().replace(/sha256:/g, "").split(/\s+/).filter(Boolean);
  const shown = SHOWN.find(([value]) => value === byId("which").value)?.[2] ?? (() => true);
  table.found = tags.filter((tag) => shown(tag) && isWithin(tag) && isOfAge(tag) && wanted.every((word) => words(tag).includes(word)));
  table.rows = ROWS;
  showChips();
  sort();
  list();
}

function isWithin(tag) { return !table.within || tag.repository === table.within || tag.repository.startsWith(`${table.within}/`); }

function isOfAge(tag) {
  if (!table.ages) return true;
  const { least, below } = table.ages;
  if (least === null) return tag.pushed === null;
  const days = tag.pushed === null ? -1 : Math.max(0, (now - tag.pushed) / DAY);
  return days >= least && (below === null || days < below);
}

function showChips() {
  const chip = (text, clear) => {
    const button = element("button", { type: "button", class: "chip", title: "show all again", text: `${text} ×` });
    button.addEventListener("click", () => { clear(); find(); });
    return button;
  };
  byId("within").replaceChildren(
    ...(table.within ? [chip(`in ${table.within}`, () => { table.within = ""; })] : []),
    ...(table.ages ? [chip(`pushed: ${table.ages.name}`, () => { table.ages = null; })] : []));
}

function sort() {
  const { key, text } = COLUMNS[table.column];
  const direction = table.falling ? -1 : 1;
  const keyed = table.found.map((tag) => [key(tag), tag]);
  keyed.sort(([one, first], [other, second]) =>
    (text ? direction * (one < other ? -1 : one > other ? 1 : 0) : direction * (one - other)) || first.number - second.number);
  table.found = keyed.map(([, tag]) => tag);
}

function list() {
  byId("tags").tHead.rows[0].replaceChildren(...COLUMNS.map(heading));
  byId("tags").tBodies[0].replaceChildren(...table.found.slice(0, table.rows).map(row));
  const own = [...new Set(table.found.map((tag) => tag.image))].reduce((sum, image) => sum + (image?.own ?? 0), 0);
  byId("found").replaceChildren(`${count(table.found.length)} of ${plural(data.number_of_tags, "tag")}; their images' own bytes: `, bytes(own));
  const left = table.found.length - table.rows;
  byId("more").hidden = left <= 0;
  byId("more").textContent = `show ${count(Math.min(left, ROWS))} more of ${count(Math.max(left, 0))}`;
}

function heading(column, number) {
  if (!column.key) return element("th", { scope: "col", role: "columnheader" }, element("span", { class: "hidden", text: "commands" }));
  const order = number !== table.column ? "none" : table.falling ? "descending" : "ascending";
  const arrow = { none: "", descending: " ↓", ascending: " ↑" }[order];
  const button = element("button", { type: "button", class: "sort", title: column.title ?? null, text: `${column.name}${arrow}` });
  button.addEventListener("click", () => {
    table.falling = number === table.column ? !table.falling : !column.text;
    table.column = number;
    sort();
    list();
    byId("tags").tHead.rows[0].cells[number].firstChild.focus();
  });
  return element("th", { scope: "col", role: "columnheader", "aria-sort": order, class: `column-${column.name}${column.text ? "" : " number"}` }, button);
}

function row(tag) {
  const { image } = tag;
  const name = element("button", { type: "button", class: "link name" }, element("span", { class: "muted", text: `${tag.repository}:` }), element("strong", { text: tag.name }));
  const cells = [
    element("td", { role: "cell", class: "column-tag" }, name, ...badges(tag)),
    element("td", { role: "cell", class: "number column-own" }, !image ? "" : image.flags & IMAGE.OWN_UNKNOWN ? element("span", { class: "unknown", title: "what was not read may need some of it", text: "unknown" }) : bytes(image.own)),
    element("td", { role: "cell", class: "number column-size" }, image && image.size !== null ? bytes(image.size) : ""),
    element("td", { role: "cell", class: "number column-pushed", title: minute(tag.pushed), text: day(tag.pushed) }),
    element("td", { role: "cell", class: "number column-pushes", text: `${tag.former.length + 1}` }),
    element("td", { role: "cell", class: "column-kind", text: image ? [image.kind === "image" ? "" : image.kind, image.platforms].filter(Boolean).join(" · ") : "" }),
    element("td", { role: "cell", class: "column-signed" }, ...marks(tag)),
    element("td", { role: "cell", class: "column-copy" }, copyButton("pull", () => pullCommand(tag))),
  ];
  return element("tr", { role: "row", "data-tag": tag.number }, ...cells);
}

function badges(tag) {
  if (!tag.image) return [element("span", { class: "badge unknown", text: "not known" })];
  if (tag.flags & TAG.DAMAGED) return [element("span", { class: "badge damage", text: "damaged" })];
  return tag.flags & TAG.CANNOT_TELL ? [element("span", { class: "badge unknown", text: "cannot tell" })] : [];
}

function marks(tag) {
  if (!isImage(tag)) return tag.belongsTo ? [element("span", { class: "muted", title: tag.belongsTo, text: "belongs to an image" })] : [];
  const found = [["signed", IMAGE.SIGNED], ["SBOM", IMAGE.SBOM], ["attested", IMAGE.ATTESTED]]
    .filter(([, flag]) => tag.image.flags & flag).map(([text]) => element("span", { class: "badge good", text }));
  if (tag.image.flags & IMAGE.BELONGINGS_UNKNOWN) found.push(element("span", { class: "badge unknown", title: "something was not read that may be its signature", text: "unknown" }));
  return found;
}
