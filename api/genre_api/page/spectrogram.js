// The spectrogram from the service: the analysed excerpts side by side.

import { clock, element } from "./dom.js";

const FEW = 4;

/** Show a picture (PNG in Base64); `addressOf(blob)` makes an address that its owner frees. */
export function spectrogram(drawing, excerpts, addressOf) {
  const bytes = Uint8Array.from(atob(drawing), (character) => character.charCodeAt(0));
  const spans = excerpts.map(({ start_seconds, end_seconds }) => `${clock(start_seconds)} to ${clock(end_seconds)}`);
  const heard = spans.length > FEW ? `${clock(0)} to ${clock(excerpts.at(-1).end_seconds)}` : spans.join(", ");
  const image = element("img", {
    src: addressOf(new Blob([bytes], { type: "image/png" })),
    alt: `Spectrogram of ${heard}: time from left to right, low sounds below, loud ones bright`,
  });
  return element("figure", { class: "spectrogram" }, image, element("figcaption", {}, `Analysed: ${heard}`));
}
