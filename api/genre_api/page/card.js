// One file of the list: its progress, then its genres or an error.

import { similar } from "./api.js";
import { announce, capitalised, clock, element, partlyRead, percent, sentence, size } from "./dom.js";
import { spectrogram } from "./spectrogram.js";
import { timeline } from "./timeline.js";

const SHOWN = 5;
const FINAL = [400, 413, 415, 422];
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
    this.#settle("failed", this.mayPass ? "Try again" : "", words);
    announce(`${this.name} failed: ${sentence(refusal.message)}`);
  }

  /** Whether the same file may succeed at another try: a refusal of the file itself or of its size is final. */
  get mayPass() {
    return this.refusal !== null && !FINAL.includes(this.refusal.status);
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
    const picture = drawing ? spectrogram(drawing, answer.excerpts, (blob) => this.#addressOf(blob)) : null;
    const music = isMusic(answer);
    const parts = music ? [element("div", {}, bars(first, true), others(rest))] : [];
    parts.push(element("div", {}, music ? course.node : null, picture, music ? course.table : null, player));
    const of = element("span", { class: "visually-hidden" }, ` of ${this.name}`);
    const details = element(
      "details",
      { class: "more", open: this.open },
      element("summary", {}, music ? "Genres, timeline and player" : "Spectrogram and player", of),
      element("div", { class: "result" }, ...parts),
    );
    const remark = partlyRead(answer);
    const partly = remark === null ? [] : [element("p", { class: "state partly" }, sentence(remark))];
    return [verdict(answer), labels(answer), ...partly, this.#alike(answer), details].filter((part) => part !== null);
  }

  /** A button that lists similar known tracks; null if the service knows none. */
  #alike(answer) {
    if (!isMusic(answer) || !("similar" in document.querySelector("main").dataset)) return null;
    const place = element("div", { class: "alike" });
    const show = async () => {
      button.disabled = true;
      button.textContent = "Searching";
      try {
        const found = neighbours((await similar(this.file)).tracks, this.name);
        place.replaceChildren(found);
        found.querySelector("h4").focus();
        announce(`Similar tracks of ${this.name} are listed.`);
      } catch (refusal) {
        button.disabled = false;
        button.textContent = "More like this";
        place.replaceChildren(button, element("p", { class: "error" }, sentence(refusal.message)));
        button.focus();
        announce(sentence(refusal.message));
      }
    };
    const button = element(
      "button",
      { type: "button", "aria-label": `More like this: ${this.name}`, onclick: show },
      "More like this",
    );
    place.append(button);
    return place;
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

function neighbours(tracks, name) {
  const heading = element("h4", { tabindex: "-1" }, "More like this", element("span", { class: "visually-hidden" }, `: ${name}`));
  if (!tracks.length) return element("div", {}, heading, element("p", { class: "state" }, "No similar tracks are known."));
  const rows = tracks.map(({ path, similarity, label, confident, duration_seconds: seconds }) =>
    element(
      "tr",
      {},
      element("th", { scope: "row" }, element("bdi", {}, path)),
      ...[similarity.toFixed(2), confident ? label : `${label}?`, clock(seconds)].map((text) => element("td", {}, text)),
    ),
  );
  const head = ["Track", "Similarity", "Genre", "Length"].map((text) => element("th", { scope: "col" }, text));
  const table = element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows));
  return element("div", {}, heading, table);
}

function others(ranked) {
  if (!ranked.length) return null;
  const summary = element("summary", {}, `${ranked.length} more ${ranked.length === 1 ? "genre" : "genres"}`);
  return element("details", {}, summary, bars(ranked, false));
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
