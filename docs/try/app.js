// The page: takes files, decodes them one by one, and shows what the worker answers.

import { percent } from "./prediction.js";
import { sampleRate } from "./sample_rate.js";

const MOST_BYTES = 500e6, MOST_SECONDS = 3600;
const COLUMNS = ["path", "label", "confidence", "confident", "reason", "music", "genre_set", "styles", "moods", "instruments", "voice", "error"];

const at = (id) => document.getElementById(id);
const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
const waiting = new Map();
const queue = [];
let metadata = null, rows = [], done = 0, running = false, stopped = false;

worker.onerror = () => failed("the model could not be started");
worker.onmessage = ({ data }) => {
  if (data.failed) return failed(data.failed);
  if (data.ready) {
    metadata = data.ready;
    at("model").textContent = `Knows ${metadata.labels.join(", ")}. A question mark stands before an answer that is not confident. Runs on ONNX Runtime Web.`;
    say("Ready.");
    return run();
  }
  waiting.get(data.id)?.(data);
  waiting.delete(data.id);
};

function failed(reason) {
  say(`The model cannot be loaded: ${reason}.`);
  at("files").disabled = true;
}

function say(text) {
  at("status").textContent = text;
}

function add(files) {
  if (!files.length) return;
  for (const file of files) queue.push({ file, row: addRow(file.webkitRelativePath || file.name) });
  at("scroll").hidden = at("actions").hidden = false;
  stopped = false;
  if (metadata) run();
}

async function run() {
  if (running) return;
  running = true;
  at("stop").disabled = false;
  while (queue.length && !stopped) {
    const all = done + queue.length, { file, row } = queue.shift();
    say(`${done + 1} of ${all}: ${file.name}`);
    Object.assign(at("progress"), { hidden: all < 2, max: all, value: done });
    row.cells[1].textContent = "…";
    let result;
    try {
      result = { path: row.path, ...(await classify(file)) };
    } catch (error) {
      result = { path: row.path, error: error.message };
    }
    if (!row.isConnected) continue; // cleared meanwhile
    done++;
    rows.push(result);
    show(row, result);
  }
  for (const { row } of queue.splice(0)) row.remove();
  running = false;
  at("stop").disabled = true;
  at("progress").hidden = true;
  const n = rows.filter((row) => row.error).length;
  if (rows.length) say(`${rows.length} ${rows.length === 1 ? "file" : "files"}${n ? `, ${n} could not be read` : ""}${stopped ? "; stopped" : ""}.`);
}

async function classify(file) {
  if (file.size > MOST_BYTES) throw new Error(`${(file.size / 1e6).toFixed(0)} MB are too much for a browser: expected at most ${MOST_BYTES / 1e6} MB`);
  if (!file.size) throw new Error("the file is empty");
  const content = await file.arrayBuffer();
  let audio;
  try {
    audio = await decoder(sampleRate(content)).decodeAudioData(content);
  } catch {
    throw new Error("this browser cannot decode the file: it may be damaged, or of another kind");
  }
  if (audio.duration > MOST_SECONDS) throw new Error("longer than an hour: too much for a browser");
  const channels = Array.from({ length: audio.numberOfChannels }, (_, i) => audio.getChannelData(i).slice());
  const answer = await new Promise((resolve) => {
    const id = done;
    waiting.set(id, resolve);
    worker.postMessage({ id, channels, rate: audio.sampleRate }, channels.map((channel) => channel.buffer));
  });
  if (answer.error) throw new Error(answer.error);
  return answer.prediction;
}

/** A decoder at the rate of the file; at that of the model if browsers do not take it. */
function decoder(rate) {
  try {
    return new OfflineAudioContext(1, 1, rate || metadata.audio.sample_rate);
  } catch {
    return new OfflineAudioContext(1, 1, metadata.audio.sample_rate);
  }
}

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function addRow(path) {
  const row = at("results").insertRow();
  row.path = path;
  row.append(element("td", path), element("td", "waiting", "unsure"), element("td", "", "number"), element("td", ""));
  return row;
}

function show(row, result) {
  const [, genre, confidence, tags] = row.cells;
  genre.textContent = "";
  if (result.error) {
    genre.className = "failed";
    genre.textContent = `could not be read: ${result.error}`;
    return;
  }
  const isMusic = result.genre_set.length > 0;
  genre.className = result.confident ? "" : "unsure";
  const details = element("details");
  details.append(element("summary", result.confident ? result.label : isMusic ? `? ${result.genre_set.slice(0, 4).join(" or ")}` : result.music), bars(result));
  genre.append(details);
  if (result.reason && isMusic) genre.append(element("span", result.reason, "reason"));
  confidence.textContent = isMusic ? percent(result.confidence) : "";
  tags.textContent = [...result.styles, ...result.moods, ...result.instruments, ...result.voice].join(", ");
}

function bars(result) {
  const list = element("dl");
  for (const [genre, share] of Object.entries(result.probabilities).slice(0, 6)) {
    const meter = element("meter");
    Object.assign(meter, { min: 0, max: 1, value: share });
    meter.setAttribute("aria-label", genre);
    const bar = element("dd");
    bar.append(meter);
    list.append(element("dt", genre), bar, element("dd", percent(share), "number"));
  }
  return list;
}

function csv() {
  const cell = (value) => {
    const text = Array.isArray(value) ? value.join("; ") : String(typeof value === "number" ? Number(value.toFixed(6)) : value ?? "");
    const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text; // a spreadsheet would run it
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  return [COLUMNS, ...rows.map((row) => COLUMNS.map((name) => row[name]))].map((line) => line.map(cell).join(",")).join("\r\n") + "\r\n";
}

at("files").onchange = ({ target }) => {
  add(target.files);
  target.value = "";
};
at("stop").onclick = () => { stopped = true; };
at("clear").onclick = () => {
  stopped = true;
  rows = [];
  done = 0;
  at("results").replaceChildren();
  at("scroll").hidden = at("actions").hidden = true;
  say("Ready.");
};
at("save").onclick = () => {
  const link = element("a");
  link.href = URL.createObjectURL(new Blob(["\ufeff", csv()], { type: "text/csv" }));
  link.download = "genres.csv";
  link.click();
  URL.revokeObjectURL(link.href);
};
document.ondragover = (event) => {
  event.preventDefault();
  at("drop").classList.add("over");
};
document.ondragleave = () => at("drop").classList.remove("over");
document.ondrop = (event) => {
  event.preventDefault();
  at("drop").classList.remove("over");
  add(event.dataTransfer.files);
};
