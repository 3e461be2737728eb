// Requests to the service. An error is a Refusal.

let key = "";

/** Send this key with further requests. */
export function useKey(value) {
  key = value;
}

/** Why a request failed: `message` for people, `code` for programs, `retryAfter` in seconds or null. */
export class Refusal extends Error {
  constructor(status, code, message, retryAfter = null) {
    super(message);
    Object.assign(this, { status, code, retryAfter });
  }
}

function refusal(status, text, retryAfter) {
  const seconds = /^\d+$/.test(retryAfter ?? "") ? Number(retryAfter) : null;
  try {
    const problem = JSON.parse(text);
    if (problem.detail) return new Refusal(status, problem.code ?? "unknown", problem.detail, seconds);
  } catch {
    // A proxy answers with its own text.
  }
  return new Refusal(status, "unknown", `the service, or a proxy before it, answered with status ${status}`, seconds);
}

/** GET an address; JSON as an object, anything else as a Blob. `options` are further ones of fetch. */
export async function get(address, accept = "application/json", options = {}) {
  let response;
  try {
    response = await fetch(address, { ...options, headers: { Accept: accept, ...(key && { "X-API-Key": key }) } });
  } catch {
    throw new Refusal(0, "unreachable", "the service does not answer: is it still running?");
  }
  if (!response.ok) throw refusal(response.status, await response.text(), response.headers.get("Retry-After"));
  return accept === "application/json" ? response.json() : response.blob();
}

/** Upload a file and return the known tracks that sound most like it. */
export function similar(file) {
  return get("api/similar", "application/json", { method: "POST", body: formOf(file) });
}

function formOf(file) {
  const form = new FormData();
  form.append("file", file, file.name);
  return form;
}

/**
 * Upload a file and return its genres. `onSent(share)` is told how much has left; fetch could not tell.
 */
export function predict(file, { whole, onSent, signal }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", whole ? "api/predict?spectrogram=true&whole=true" : "api/predict?spectrogram=true");
    request.setRequestHeader("Accept", "application/json");
    if (key) request.setRequestHeader("X-API-Key", key);
    request.upload.addEventListener("progress", (event) => onSent(event.loaded / event.total));
    request.upload.addEventListener("load", () => onSent(1));
    request.addEventListener("load", () => {
      const text = request.responseText;
      if (request.status !== 200) reject(refusal(request.status, text, request.getResponseHeader("Retry-After")));
      else resolve(JSON.parse(text));
    });
    request.addEventListener("error", () => {
      const why = "the connection was lost: the service stopped, or the file was changed or can no longer be read";
      reject(new Refusal(0, "broken", why));
    });
    request.addEventListener("abort", () => reject(new Refusal(0, "cancelled", "cancelled")));
    signal.addEventListener("abort", () => request.abort());
    request.send(formOf(file));
  });
}
