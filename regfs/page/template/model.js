// The page's data as tags and images that can be asked, and as the tree that the map draws.

const data = JSON.parse(byId("data").textContent);
const now = data.made;

const IMAGE = { SIGNED: 1, SBOM: 2, ATTESTED: 4, BELONGINGS_UNKNOWN: 8, SEVERAL_REPOSITORIES: 16, OWN_UNKNOWN: 32 };
const TAG = { DAMAGED: 1, CANNOT_TELL: 2 };

const images = data.images.digests.map((digest, number) => ({
  digest,
  size: data.images.sizes[number],
  own: data.images.own[number],
  built: data.images.built[number],
  kind: data.images.words[data.images.kinds[number]],
  platforms: data.images.words[data.images.platforms[number]],
  flags: data.images.flags[number],
  tags: [],
}));

const tags = data.tags.names.map((name, number) => {
  const repository = data.repositories[data.tags.repositories[number]];
  const tag = {
    number,
    repository,
    name,
    whole: `${repository}:${name}`,
    image: images[data.tags.images[number]] ?? null,
    pushed: data.tags.pushed[number],
    flags: data.tags.flags[number],
    former: (data.tags.former[number] ?? []).map(([pushed, digest, size, stored]) => ({ pushed, digest, size, stored })),
    belongsTo: data.tags.belongs_to[number] ?? "",
  };
  if (tag.image) tag.image.tags.push(tag);
  return tag;
});

// What is known of signatures and such: yes, no, or unknown where something was not read.
function belonging(image, flag) {
  if (!image) return "";
  if (image.flags & flag) return "yes";
  return image.flags & IMAGE.BELONGINGS_UNKNOWN ? "unknown" : "no";
}

const WORDS = {
  shared: "shared in this repository",
  between: "shared between repositories",
  untagged: "@untagged",
  orphaned: "@orphans",
  unknown: "@unknown",
  uploads: "@uploads",
};

const MEANING = {
  names: "",
  own: "no other tagged image needs it",
  shared: "several images of this repository need it",
  between: "images of several repositories need it",
  untagged: "some revision leads there, and no tag",
  orphaned: "nothing leads there",
  unknown: "what was not read may lead there",
  uploads: data.uploads_at_least ? "pushes that did not end; at least, for no listing shows all of them" : "pushes that did not end",
  more: "tags that are not listed one by one",
  rest: "too small to draw",
};

function group(name, kind, parent) {
  return { name, kind, parent, children: [], below: new Map(), size: 0, number: 0, tag: null };
}

function leaf(name, kind, parent, size, number, tag = null) {
  parent.children.push({ name, kind, parent, children: [], size, number, tag });
}

// Give the directory of a repository or of some, made where it is not there yet.
function directory(root, path) {
  let at = root;
  for (const name of path === "" ? [] : path.split("/")) {
    if (!at.below.has(name)) {
      const made = group(name, "names", at);
      at.below.set(name, made);
      at.children.push(made);
    }
    at = at.below.get(name);
  }
  return at;
}

function namesOf(image) {
  const [first, ...others] = image.tags;
  return others.length ? `${first.name} +${others.length}` : first.name;
}

function tree() {
  const root = group(data.store, "names", null);
  for (const image of images) {
    if (image.own && !(image.flags & IMAGE.SEVERAL_REPOSITORIES)) {
      const first = image.tags[0];
      leaf(namesOf(image), "own", directory(root, first.repository), image.own, image.tags.length, first);
    }
  }
  for (const [kind, name, number, size] of data.places) {
    if (!size) continue;
    if (kind === "shared" || kind === "between") leaf(WORDS[kind], kind, directory(root, name), size, number);
    else if (kind === "more") leaf(plural(number, "more tag"), kind, directory(root, name), size, number);
    else leaf(name || WORDS[kind], kind, apart(root, kind), size, number);
  }
  add(root);
  return root;
}

// What no tag needs stands apart; what is in no repository by itself.
function apart(root, kind) {
  if (kind === "orphaned" || kind === "unknown") return root;
  if (!root.below.has(WORDS[kind])) {
    const made = group(WORDS[kind], kind, root);
    root.below.set(WORDS[kind], made);
    root.children.push(made);
  }
  return root.below.get(WORDS[kind]);
}

function add(node) {
  for (const child of node.children) {
    if (child.children.length) add(child);
    node.size += child.size;
    node.number += child.kind === "own" || child.kind === "names" || child.kind === "more" ? child.number : 0;
  }
  node.children.sort((one, other) => other.size - one.size);
}

// The path of a node among the repositories; "" for the top and for what stands apart.
function pathOf(node) {
  const names = [];
  for (let at = node; at.parent; at = at.parent) names.unshift(at.name);
  return node.kind === "names" ? names.join("/") : "";
}

// The class that colours a node: what it is, or whose it is.
function colourOf(node) {
  if (node.kind !== "names" && node.kind !== "own" && node.kind !== "more") return `fill-${node.kind}`;
  let top = node;
  while (top.parent?.parent) top = top.parent;
  return colourOfName(top.name).replace("others", `others-${tint(top.name)}`);
}

// The names that share a colour differ a little on the map.
function tint(name) {
  let sum = 0;
  for (const character of name) sum = (sum * 31 + character.codePointAt(0)) % 997;
  return sum % 4;
}

function colourOfName(name) {
  const rank = data.top.indexOf(name);
  return rank < 0 ? "fill-others" : `fill-name-${rank}`;
}
