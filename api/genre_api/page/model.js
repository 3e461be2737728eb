// Information about the model: results, history of the training, confusion matrix.

import { get, Refusal } from "./api.js";
import { lineChart } from "./chart.js";
import { byId, element, percent, sentence } from "./dom.js";

const SVG = "image/svg+xml";

/** Return what an address answers, null if the model's sidecar does not contain it. */
async function recorded(address, accept) {
  try {
    return await get(address, accept);
  } catch (refusal) {
    if (refusal instanceof Refusal && refusal.code === "not_recorded") return null;
    throw refusal;
  }
}

/** Fill the section of the model; return false without a model. Throws a Refusal if the service does not answer. */
export async function showModel() {
  const health = await get("api/health");
  const notice = byId("notice");
  notice.hidden = health.ready;
  notice.textContent = health.ready ? "" : `The service is not ready (${health.reason}): files wait until it is.`;
  if (!health.ready) return false;
  const [metrics, { genres, confidence_threshold }, history, confusion] = await Promise.all([
    get("api/metrics"),
    get("api/genres"),
    recorded("api/metrics/history"),
    recorded("api/metrics/confusion"),
  ]);
  const drawing = confusion && (await recorded("api/metrics/confusion", SVG));
  byId("model").replaceChildren(
    element("p", {}, `It distinguishes ${genres.length} genres: ${genres.join(", ")}. Results are confident from ${percent(confidence_threshold)}.`),
    figures(health, metrics),
    history ? curves(history.history) : element("p", { class: "state" }, "The history of its training is not recorded."),
    drawing ? matrix(confusion, drawing) : element("p", { class: "state" }, "Its confusion matrix is not recorded."),
  );
  return true;
}

function figures(health, { macro_f1, epoch, test, files, provenance }) {
  const share = (value) => (Number.isFinite(value) ? percent(value, 1) : null);
  const plain = (value) => (Number.isFinite(value) ? value.toFixed(3) : null);
  const within = (part) => {
    const [low, high] = part?.accuracy_interval ?? [];
    return Number.isFinite(low) ? `${share(part.accuracy)} (95 % interval ${share(low)} to ${share(high)})` : share(part?.accuracy);
  };
  const tracks = ({ n_tracks, n_groups }) => (n_groups < n_tracks ? `${n_tracks} by ${n_groups} artists` : n_tracks);
  const asked = health.device === health.device_requested ? "" : ` (requested: ${health.device_requested})`;
  const sources = Object.entries(provenance?.clips_per_source ?? {}).map(([name, count]) => `${name} ${count}`);
  const { split, seed, fold, train } = provenance?.split ?? {};
  const rows = {
    Model: health.model,
    "Genres learnt from examples": health.head && [health.head.file, health.head.created?.slice(0, 10)].filter(Boolean).join(", "),
    "Runs on": health.device && health.device + asked,
    "Right on test tracks": within(test),
    "Right from test files": files?.accuracy !== test?.accuracy && within(files),
    "Confident answers": test?.confident && `${share(test.confident.coverage)}, ${share(test.confident.precision) ?? "none"} of them right`,
    "Test tracks": test && tracks(test),
    "Macro F1": plain(macro_f1),
    "Calibration error": plain(test?.calibration_error),
    Parameters: provenance?.n_parameters?.toLocaleString("en"),
    "Clips by source": sources.join(", "),
    "Training clips": train,
    Split: split && [`by ${split}`, ...Object.entries({ seed, fold }).filter(([, value]) => value !== undefined).map((pair) => pair.join(" "))].join(", "),
    "Chosen epoch": epoch,
  };
  const known = Object.entries(rows).filter(([, value]) => value || value === 0);
  return element(
    "dl",
    {},
    ...known.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, String(value)))),
  );
}

function curves(history) {
  const right = { val_acc: "accuracy", val_macro_f1: "macro F1" };
  const loss = { train_loss: "training", val_loss: "validation" };
  const charts = [
    lineChart("Validation", history, right, (value) => percent(value)),
    lineChart("Loss", history, loss, (value) => value.toFixed(2)),
  ];
  return element("div", { class: "charts" }, ...charts);
}

function matrix({ labels, matrix: counts }, drawing) {
  const mixed = counts
    .flatMap((row, i) => row.map((count, j) => ({ count, words: `${labels[i]} taken for ${labels[j]} (${count})`, i, j })))
    .filter(({ count, i, j }) => count && i !== j)
    .sort((a, b) => b.count - a.count)
    .slice(0, 3)
    .map(({ words }) => words);
  const words = sentence(mixed.length ? `most often confused: ${mixed.join(", ")}` : "no genres were confused");
  const image = element("img", { alt: `Confusion matrix of ${labels.length} genres. ${words}` });
  image.addEventListener("load", () => URL.revokeObjectURL(image.src));
  image.src = URL.createObjectURL(drawing);
  return element(
    "figure",
    { class: "confusion" },
    element("figcaption", {}, "Confusion matrix of the test tracks: true genres in rows, predicted genres in columns"),
    element("p", {}, words),
    element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Confusion matrix" }, image),
  );
}
