// One file of the list: its progress, then its genres or an error.

import { announce, capitalised, element, partlyRead, percent, sentence, size } from "./dom.js";
import { spectrogram } from "./spectrogram.js";
import { timeline } from "./timeline.js";

const SHOWN = 5;
const KINDS = { styles: "style", moods: "mood", instruments: "instrument", voice: "voice" };
const either = new Intl.ListFormat("en-GB", { type: "disjunction" });

export class Card {
  state = "waiting";
  answer = null;
  refusal = null;
  #addresses = [];
  #body = element("div");
  #buttons = element("div", { class: "buttons" });
  #heading;
  #progress = null;
  #words = null;

  /** `actions` are `retry(card)`, `remove(card)`, `cancel(card)` and `changed()`; `open` shows details at once. */
  constructor(file, whole, open, actions) {
    Object.assign(this, { file, whole, open, actions });
    const name = file.name || "file without a name";
    this.name = name;
    this.#heading = element("h3", { tabindex: "-1" }, element("bdi", {}, name));
    const head = element("div", { class: "heading-row" }, this.#heading, element("p", {}, size(file.size)), this.#buttons);
    this.node = element("li", { class: "card" }, head, this.#body);
  }

  focus() {
    this.#heading.focus();
  }

  waiting(words = "Waits") {
    this.#work("waiting", words, null);
  }

  /** `share` of the bytes were sent; after all of them the service classifies. */
  sending(share) {
    if (share < 1) this.#work("sending", `Sending, ${percent(share)}`, share);
    else this.#work("listening", "Classifying", undefined);
  }

  finished(answer) {
    const { spectrogram: drawing, ...rest } = answer;
    this.answer = rest; // stored separately, since it would make a download ten times as large
    this.#settle("done", "", ...this.#result(rest, drawing));
    const remark = partlyRead(answer);
    const best = `${answer.label}, ${percent(answer.confidence)}`;
    const genre = answer.confident ? best : `not sure, perhaps ${choice(answer) ?? best}`;
    const said = `${this.name}: ${isMusic(answer) ? genre : sound(answer)}.`;
    announce(remark === null ? said : `${said} ${sentence(remark)}`);
  }

  failed(refusal) {
    this.refusal = refusal;
    const words = element("p", { class: "error" }, element("strong", {}, "Failed: "), sentence(refusal.message));
    this.#settle("failed", "Try again", words);
    announce(`${this.name} failed: ${sentence(refusal.message)}`);
  }

  /** Free what the card holds; it is not used again. */
  release() {
    this.#body.querySelector("audio")?.pause();
    this.#addresses.forEach((address) => URL.revokeObjectURL(address));
  }

  #work(state, words, share) {
    if (!this.#progress) {
      this.#progress = element("progress", { max: 1, "aria-label": `Progress of ${this.name}` });
      this.#words = element("p", { class: "state" });
      this.#show(this.#words, this.#progress);
      this.#setButtons(["Cancel", "cancel"]);
    }
    this.#words.textContent = words;
    this.#progress.hidden = share === null;
    if (share === undefined) this.#progress.removeAttribute("value");
    else this.#progress.value = share ?? 0;
    this.#become(state);
  }

  #settle(state, retry, ...content) {
    this.#progress = null;
    this.#show(...content);
    this.#setButtons(...(retry ? [[retry, "retry"]] : []), ["Remove", "remove"]);
    this.#become(state);
  }

  #become(state) {
    if (state === this.state && state !== "waiting") return;
    this.state = state;
    this.node.dataset.state = state;
    this.actions.changed();
  }

  #show(...content) {
    this.#body.replaceChildren(...content);
  }

  #setButtons(...named) {
    // Removing a focused button would lose the focus.
    const focused = this.#buttons.contains(document.activeElement);
    const buttons = named.map(([words, action]) =>
      element(
        "button",
        { type: "button", "aria-label": `${words}: ${this.name}`, onclick: () => this.actions[action](this) },
        words,
      ),
    );
    this.#buttons.replaceChildren(...buttons);
    if (focused) this.focus();
  }

  #addressOf(blob) {
    const address = URL.createObjectURL(blob);
    this.#addresses.push(address);
    return address;
  }

  #result(answer, drawing) {
    const ranked = Object.entries(answer.probabilities).sort((a, b) => b[1] - a[1]);
    const first = ranked.slice(0, SHOWN);
    const rest = ranked.slice(SHOWN);
    const parts = [bars(first, true)];
    const player = element("audio", { controls: true, preload: "none", "aria-label": `Play ${this.name}` });
    const course = timeline(answer, first.map(([genre]) => genre), (seconds) => {
      player.currentTime = seconds;
      player.play().catch(() => {}); // the player shows its own error
    });
    player.src = this.#addressOf(this.file);
    player.addEventListener("timeupdate", () => course.moveTo(player.currentTime));
    player.addEventListener("error", () => {
      player.replaceWith(element("p", { class: "state" }, "This browser cannot play this file."));
    });
    if (rest.length) {
      const summary = element("summary", {}, `${rest.length} more ${rest.length === 1 ? "genre" : "genres"}`);
      parts.push(element("details", {}, summary, bars(rest, false)));
    }
    const picture = drawing ? spectrogram(drawing, answer.excerpts, (blob) => this.#addressOf(blob)) : null;
    const right = element("div", {}, course.node, picture, course.table, player);
    const of = element("span", { class: "visually-hidden" }, ` of ${this.name}`);
    const details = element(
      "details",
      { class: "more", open: this.open },
      element("summary", {}, "Genres, timeline and player", of),
      element("div", { class: "result" }, element("div", {}, ...parts), right),
    );
    const remark = partlyRead(answer);
    const partly = remark === null ? [] : [element("p", { class: "state partly" }, sentence(remark))];
    return [verdict(answer), labels(answer), ...partly, details].filter((part) => part !== null);
  }
}

/** Whether the genre means something; `music` is null for a model that does not know. */
function isMusic({ music }) {
  return (music ?? "music") === "music";
}

function sound({ music, reason }) {
  return music === "silence" ? "silence" : (reason ?? `${music}, not music`);
}

/** The answer set in words; null if it is the best genre alone, or too large to tell anything. */
function choice({ genre_set: genres = [] }) {
  return genres.length > 1 && genres.length <= SHOWN ? either.format(genres) : null;
}

/** Styles, moods, instruments and voice; null if the model names none. */
function labels(answer) {
  const named = Object.entries(KINDS).flatMap(([list, kind]) => (answer[list] ?? []).map((name) => [name, kind]));
  if (!named.length || !isMusic(answer)) return null;
  const items = named.map(([name, kind]) => element("li", { class: kind, title: kind }, name));
  return element("ul", { class: "labels", "aria-label": "Styles, moods, instruments and voice" }, ...items);
}

function verdict(answer) {
  if (!isMusic(answer)) {
    const why = answer.music === "silence" && answer.reason ? element("p", { class: "state" }, sentence(answer.reason)) : null;
    return element("div", {}, element("p", { class: "verdict" }, element("strong", {}, capitalised(sound(answer)))), why);
  }
  const genre = [element("strong", {}, answer.label), ` ${percent(answer.confidence)}`];
  if (answer.confident) return element("p", { class: "verdict" }, ...genre);
  const genres = choice(answer);
  const unsure = genres === null ? genre : [element("strong", {}, genres)];
  return element(
    "div",
    {},
    element("p", { class: "verdict" }, element("span", { class: "badge" }, "Not sure"), " perhaps ", ...unsure),
    element("p", { class: "state" }, sentence(answer.reason ?? "the service gives no reason")),
  );
}

function bars(ranked, coloured) {
  const rows = ranked.map(([genre, share], i) => {
    const bar = element("span", { class: coloured ? `bar c${i + 1}` : "bar others" });
    bar.style.width = `${100 * share}%`;
    return element(
      "li",
      {},
      element("span", { class: "genre" }, genre),
      element("span", { class: "track", "aria-hidden": "true" }, bar),
      element("span", { class: "share" }, percent(share)),
    );
  });
  return element("ol", { class: "bars" }, ...rows);
}
