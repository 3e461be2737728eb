// Runs the model beside the page, so that the page never stops.

import * as ort from "./ort/ort.wasm.min.mjs";
import { cutExcerpts, isSilent, mono } from "./excerpts.js";
import { summarise } from "./prediction.js";
import { resample } from "./resample.js";

ort.env.wasm.wasmPaths = new URL("./ort/", import.meta.url).href;
ort.env.wasm.numThreads = 1; // several need headers that a plain file server does not send

const loaded = load();
loaded.then((model) => postMessage({ ready: model.metadata }), (error) => postMessage({ failed: String(error.message ?? error) }));

async function load() {
  const metadata = await (await get("model/best_model.json")).json();
  const { file, sha256 } = metadata.graphs.waveform;
  const graph = await (await get(`model/${encodeURIComponent(file)}`)).arrayBuffer();
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", graph));
  if (Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("") !== sha256) {
    throw new Error("the graph is not the one that the sidecar names: reload the page without its cache");
  }
  return { metadata, session: await ort.InferenceSession.create(graph) };
}

async function get(path) {
  const response = await fetch(new URL(path, import.meta.url));
  if (!response.ok) throw new Error(`${path}: the server answered ${response.status}`);
  return response;
}

// One track after the other: a session runs one input at a time.
let last = loaded.catch(() => {});
onmessage = ({ data }) => {
  last = last.then(async () => {
    try {
      postMessage({ id: data.id, prediction: await classify(data, await loaded) });
    } catch (error) {
      postMessage({ id: data.id, error: String(error.message ?? error) });
    }
  });
};

async function classify({ channels, rate }, { metadata, session }) {
  const excerpts = [];
  for (const piece of cutExcerpts(mono(channels), rate, metadata.excerpt_seconds, metadata.n_excerpts)) {
    const waveform = resample(piece, rate, metadata.audio.sample_rate);
    const outputs = await session.run({ waveform: new ort.Tensor("float32", waveform, [1, waveform.length]) });
    excerpts.push({ silent: isSilent(waveform), logits: outputs.logits.data, tags: outputs.tags?.data ?? [] });
  }
  return summarise(excerpts, metadata);
}
