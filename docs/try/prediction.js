// From the outputs of the graph to the answer for a track: genre_runtime/classifier.py (`summarise`) in JavaScript.

const NOT_MUSIC = { speech: "speech, not music", noise: "noise, not music", tone: "a tone, not music" };
const LISTS = { styles: "style", moods: "mood", instruments: "instrument", voice: "voice" };

/** Probabilities from logits. */
export function softmax(logits) {
  const most = Math.max(...logits);
  const powers = Array.from(logits, (logit) => Math.exp(logit - most));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

/**
 * The answer for a track.
 * @param excerpts objects with `silent`, `logits` and `tags`, the outputs of the graph
 * @param metadata the sidecar of the model
 */
export function summarise(excerpts, metadata) {
  const heard = excerpts.filter((one) => !one.silent);
  const silent = heard.length === 0;
  const used = silent ? excerpts : heard;
  const shares = mean(used.map((one) => softmax(one.logits)));
  const probabilities = ranked(metadata.labels, shares);
  const [label, confidence] = probabilities[0];
  const tags = silent ? [] : mean(used.map((one) => Array.from(one.tags, (logit) => 1 / (1 + Math.exp(-logit)))));
  const music = silent ? "silence" : kindOfSound(tags, metadata.tags);
  let reason = silent ? "the track is silent" : (NOT_MUSIC[music] ?? null);
  if (reason === null && confidence < metadata.confidence_threshold) {
    reason = `the best genre reaches ${percent(confidence)}, confident answers start at ${percent(metadata.confidence_threshold)}`;
  }
  const named = ranked(metadata.tags, tags).filter(([tag, share]) => share >= tag.threshold).map(([tag]) => tag);
  const lists = Object.entries(LISTS).map(([plural, kind]) => [plural, named.filter((tag) => tag.kind === kind).map((tag) => tag.name)]);
  return {
    label, confidence, confident: reason === null, reason, music,
    probabilities: Object.fromEntries(probabilities),
    genre_set: music === null || music === "music" ? answerSet(probabilities, metadata.genre_set_threshold) : [],
    ...Object.fromEntries(lists),
  };
}

/** A share as a whole percentage. */
export function percent(share) {
  return `${Math.round(100 * share)}%`;
}

function mean(rows) {
  return Array.from(rows[0], (_, i) => rows.reduce((sum, row) => sum + row[i], 0) / rows.length);
}

function ranked(names, shares) {
  return shares.map((share, i) => [names[i], share]).sort((a, b) => b[1] - a[1]);
}

function answerSet(probabilities, threshold) {
  return probabilities.filter(([, share], i) => i === 0 || share >= threshold).map(([genre]) => genre);
}

/** "music", or what else is most probable; null if the model does not know music. */
function kindOfSound(shares, tags) {
  const places = tags.map((tag, i) => ({ ...tag, share: shares[i] }));
  const musical = places.filter((tag) => tag.kind === "music");
  if (!musical.length) return null;
  const others = places.filter((tag) => tag.kind in NOT_MUSIC).sort((a, b) => b.share - a.share);
  if (!others.length || musical.some((tag) => tag.share >= Math.min(tag.threshold, others[0].share))) return "music";
  return others[0].kind;
}
