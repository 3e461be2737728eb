// Make elements. File names and messages of the service are set as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

/** Make an HTML element; `onclick: f` in the attributes adds a listener. */
export function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** Make an SVG element. */
export function drawn(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

/** Return the element of the page with an id. */
export function byId(id) {
  return document.getElementById(id);
}

export function percent(share, digits = 0) {
  return `${(100 * share).toFixed(digits)}%`;
}

/** 75.4 seconds as 1:15. */
export function clock(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/** How much of a file could be read, as text; null if the file is complete. */
export function partlyRead({ duration_seconds: readable, announced_seconds: announced }) {
  if (typeof announced !== "number") return null;
  return `only ${readable.toFixed(1)} of ${announced.toFixed(1)} s could be read`;
}

export function size(bytes) {
  if (bytes < 1000) return `${bytes} bytes`;
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(0)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

export function capitalised(words) {
  return words.charAt(0).toUpperCase() + words.slice(1);
}

export function sentence(words) {
  const text = capitalised(words);
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

let pending = [];

/** Announce a text to screen readers; texts within half a second are joined. */
export function announce(words) {
  pending.push(words);
  if (pending.length > 1) return;
  setTimeout(() => {
    const status = byId("status");
    status.textContent = pending.length > 4 ? `${pending.length} files have changed. ${pending.at(-1)}` : pending.join(" ");
    pending = [];
  }, 500);
}
