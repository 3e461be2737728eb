// The page: files in, cards out.

import { Refusal, useKey } from "./api.js";
import { Card } from "./card.js";
import { announce, byId, element, sentence, size } from "./dom.js";
import { save, toCsv, toJson } from "./download.js";
import { showModel } from "./model.js";
import { Queue } from "./queue.js";

const FEW = 3; // with more files, only the genres are shown and details on demand

const maxBytes = Number(document.querySelector("main").dataset.maxBodyBytes);
const queue = new Queue(askForKey);
let cards = [];
let keySent = false;

const isOver = (card) => card.state === "done" || card.state === "failed";

const actions = {
  changed: update,
  retry: (card) => {
    card.refusal = null;
    queue.add(card);
  },
  cancel: (card) => {
    queue.drop(card);
    card.failed(new Refusal(0, "cancelled", "cancelled"));
  },
  remove: (card) => {
    const next = cards[cards.indexOf(card) + 1] ?? cards[cards.indexOf(card) - 1];
    discard([card]);
    (next ?? byId("picker")).focus();
  },
};

function discard(gone) {
  for (const card of gone) {
    queue.drop(card);
    card.release();
    card.node.remove();
  }
  cards = cards.filter((card) => !gone.includes(card));
  update();
}

function update() {
  const over = cards.filter(isOver);
  const failed = cards.filter((card) => card.state === "failed");
  byId("results-section").hidden = !cards.length;
  byId("summary").textContent =
    `${over.length} of ${cards.length} finished${failed.length ? `, ${failed.length} failed` : ""}`;
  byId("retry-all").hidden = !failed.some((card) => card.mayPass);
  byId("csv").disabled = byId("json").disabled = !over.length;
}

function addFiles(files) {
  const whole = byId("whole").checked;
  const open = cards.length + files.length <= FEW;
  const added = [...files].map((file) => new Card(file, whole, open, actions));
  cards.push(...added);
  byId("results").append(...added.map((card) => card.node));
  if (added.length) announce(`${added.length} ${added.length === 1 ? "file" : "files"} added.`);
  for (const card of added) {
    if (card.file.size > maxBytes) {
      const words = `the file has ${size(card.file.size)}, this service takes at most ${size(maxBytes)}`;
      card.failed(new Refusal(413, "upload_too_large", words));
    } else {
      queue.add(card);
    }
  }
}

function askForKey() {
  queue.lock();
  const form = byId("key-form");
  if (keySent) byId("key-help").textContent = "The service did not accept this key. Check it and try again.";
  byId("key").setAttribute("aria-invalid", String(keySent));
  form.hidden = false;
  byId("key").focus();
  announce(byId("key-help").textContent);
}

async function loadModel() {
  try {
    if (!(await showModel())) setTimeout(loadModel, 10_000); // a model may be loaded later
  } catch (refusal) {
    if (refusal.status === 401) askForKey();
    else byId("model").replaceChildren(element("p", { class: "error" }, sentence(refusal.message)));
  }
}

byId("key-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const value = byId("key").value.trim();
  // A header cannot contain other characters.
  useKey(value.replace(/[^\x20-\x7e]/g, "?"));
  keySent = true;
  byId("key-form").hidden = true;
  byId("picker").focus();
  await loadModel();
  if (byId("key-form").hidden) queue.unlock();
});

byId("picker").addEventListener("change", (event) => {
  addFiles(event.target.files);
  event.target.value = ""; // so that the same file can be picked again
});
byId("retry-all").addEventListener("click", () => {
  cards.filter((card) => card.state === "failed" && card.mayPass).forEach(actions.retry);
  byId("results-heading").focus();
});
byId("clear").addEventListener("click", () => {
  discard(cards);
  byId("picker").focus();
});
byId("csv").addEventListener("click", () => save("genres.csv", "text/csv", toCsv(cards.filter(isOver))));
byId("json").addEventListener("click", () => save("genres.json", "application/json", toJson(cards.filter(isOver))));

document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dragging");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dragging");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dragging");
  addFiles(event.dataTransfer.files);
});
// Only one track plays at a time; `play` does not bubble.
document.addEventListener(
  "play",
  (event) => document.querySelectorAll("audio").forEach((player) => player !== event.target && player.pause()),
  true,
);

loadModel();
