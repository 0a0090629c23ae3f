// Numbers and times as people read them, and elements whose texts are never HTML.

const DAY = 86400;
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

// As the reports round: 512 B, 4.0 KiB, 17 MiB.
function readable(size) {
  let amount = size, unit = 0;
  while (amount >= 1023.5) { amount /= 1024; unit += 1; }
  const number = unit === 0 ? `${size}` : amount < 9.95 ? amount.toFixed(1) : amount.toFixed(0);
  return `${number}\u00a0${UNITS[unit]}`;
}

function count(number) { return number.toLocaleString("en-US"); }

function plural(number, one, many = `${one}s`) { return `${count(number)} ${number === 1 ? one : many}`; }

function share(part, whole) {
  if (!whole) return "";
  const percent = (100 * part) / whole;
  return percent > 0 && percent < 0.05 ? "< 0.1 %" : `${percent.toFixed(1)} %`;
}

// Times are seconds since 1970; one that no calendar reaches is told in seconds, as the reports do.
function iso(seconds) {
  const moment = new Date(seconds * 1000);
  return Number.isNaN(moment.getTime()) ? null : moment.toISOString();
}

function day(seconds) {
  if (seconds === null) return "not known";
  return iso(seconds)?.slice(0, 10) ?? `@${seconds}`;
}

function minute(seconds) {
  if (seconds === null) return "not known";
  return iso(seconds)?.slice(0, 16).replace("T", " ").concat(" UTC") ?? `@${seconds}`;
}

function age(seconds, now) {
  if (seconds === null) return "";
  const days = Math.max(0, Math.floor((now - seconds) / DAY));
  if (days < 1) return "today";
  if (days < 60) return plural(days, "day");
  return days < 730 ? plural(Math.floor(days / 30.44), "month") : plural(Math.floor(days / 365.25), "year");
}

// Make an element; `text` and `children` are the only ways to put something into it.
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "text") made.textContent = value;
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

function drawn(name, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "text") made.textContent = value;
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

function bytes(size) {
  return element("data", { value: size, title: `${count(size)} bytes`, text: readable(size) });
}

function byId(name) { return document.getElementById(name); }

// A word for a shell: quoted where a name could be more than that.
function quoted(word) { return /^[\w.\/:@%+-]+$/.test(word) ? word : `'${word.replace(/'/g, "'\\''")}'`; }

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = element("textarea", { class: "hidden", readonly: true });
    area.value = text;
    (document.querySelector("dialog[open]") ?? document.body).append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

// A button that copies a text, and says so for a moment.
function copyButton(words, text) {
  const button = element("button", { type: "button", class: "copy", title: text(), text: words });
  button.addEventListener("click", async (event) => {
    event.stopPropagation();
    button.textContent = (await copy(text())) ? "copied" : "press Ctrl+C";
    setTimeout(() => { button.textContent = words; }, 1500);
  });
  return button;
}

// What shows beside the pointer: lines, the first of them larger.
const tip = {
  show(event, lines) {
    const box = byId("tip");
    box.replaceChildren(...lines.map((line) => element("div", { text: line })));
    box.hidden = false;
    const { innerWidth: width, innerHeight: height } = window;
    const left = event.clientX + 14 + box.offsetWidth > width ? event.clientX - 14 - box.offsetWidth : event.clientX + 14;
    const top = event.clientY + 14 + box.offsetHeight > height ? event.clientY - 14 - box.offsetHeight : event.clientY + 14;
    box.style.left = `${Math.max(4, left)}px`;
    box.style.top = `${Math.max(4, top)}px`;
  },
  hide() { byId("tip").hidden = true; },
};
