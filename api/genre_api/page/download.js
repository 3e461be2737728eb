// Results as files in the formats of `genre classify --format json` and `csv`.

import { element } from "./dom.js";

const COLUMNS = [
  ...["path", "label", "confidence", "confident", "reason", "duration_seconds", "device", "error", "same_as"],
  ...["announced_seconds", "music", "genre_set", "styles", "moods", "instruments", "voice"],
];

function result({ name, answer, refusal }) {
  if (answer) return { ...answer, path: name };
  return { path: name, error: { code: refusal.code, message: refusal.message } };
}

/** Cards that are over, as JSON text. */
export function toJson(cards) {
  return `${JSON.stringify(cards.map(result), null, 1)}\n`;
}

/** Cards that are over, as CSV text (RFC 4180). */
export function toCsv(cards) {
  const results = cards.map(result);
  const genres = [...new Set(results.flatMap(({ probabilities }) => Object.keys(probabilities ?? {})))].sort();
  const rows = results.map((one) => [
    ...COLUMNS.map((column) => (column === "error" ? one.error?.message : one[column])),
    ...genres.map((genre) => one.probabilities?.[genre]),
  ]);
  const heading = [...COLUMNS, ...genres.map((genre) => `probability of ${genre}`)];
  return [heading, ...rows].map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}

function cell(value) {
  let text = Array.isArray(value) ? value.join("; ") : String(value ?? "");
  // A spreadsheet would run a name that begins like a formula; numbers of ours never do.
  if (typeof value !== "number" && /^'*[=+\-@\t\r\n]/.test(text)) text = `'${text}`;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Give the browser a file to save. */
export function save(name, mediaType, text) {
  const address = URL.createObjectURL(new Blob([text], { type: mediaType }));
  element("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
