// Uploads, a few at a time. Uploads to a busy service are repeated after its Retry-After; uploads wait for a required key.

import { predict } from "./api.js";

const PLACES = 2;
const ATTEMPTS = 8;

export class Queue {
  #waiting = [];
  #running = 0;
  #resumeAt = 0;
  #locked = false;
  #onLocked;

  /** `onLocked` is called when the service requires a key. */
  constructor(onLocked) {
    this.#onLocked = onLocked;
  }

  add(card) {
    card.attempts = 0;
    this.#enqueue(card);
  }

  /** Remove a card that waits or is being sent. */
  drop(card) {
    this.#waiting = this.#waiting.filter((other) => other !== card);
    card.controller?.abort();
  }

  /** Send nothing until there is a key. */
  lock() {
    this.#locked = true;
  }

  /** Continue with a key. */
  unlock() {
    this.#locked = false;
    this.#fill();
  }

  #enqueue(card) {
    card.waiting();
    this.#waiting.push(card);
    this.#fill();
  }

  #fill() {
    while (this.#running < PLACES && this.#waiting.length && !this.#locked && Date.now() >= this.#resumeAt) {
      this.#run(this.#waiting.shift());
    }
  }

  async #run(card) {
    this.#running += 1;
    card.attempts += 1;
    card.controller = new AbortController();
    const { signal } = card.controller;
    card.sending(0);
    try {
      const answer = await predict(card.file, { whole: card.whole, onSent: (share) => card.sending(share), signal });
      if (!signal.aborted) card.finished(answer);
    } catch (refusal) {
      if (!signal.aborted) this.#refused(card, refusal);
    } finally {
      this.#running -= 1;
      this.#fill();
    }
  }

  #refused(card, refusal) {
    // A prediction that timed out would time out again.
    const mayPass = refusal.retryAfter !== null && [429, 503].includes(refusal.status) && refusal.code !== "timeout";
    if (refusal.status === 401) {
      this.lock();
      this.#waiting.unshift(card);
      card.waiting("Waiting for the API key");
      this.#onLocked(refusal);
    } else if (mayPass && card.attempts < ATTEMPTS) {
      this.#resumeAt = Math.max(this.#resumeAt, Date.now() + 1000 * refusal.retryAfter);
      this.#waiting.unshift(card);
      card.waiting(`${refusal.message}. Sent again after ${refusal.retryAfter} s`);
      setTimeout(() => this.#fill(), this.#resumeAt - Date.now() + 5);
    } else {
      card.failed(refusal);
    }
  }
}
