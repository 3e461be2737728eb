// A program against the service's own description: it compiles only if every type is described.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema";

type Schemas = components["schemas"];
const client = createClient<paths>({ baseUrl: "http://127.0.0.1:8000", headers: { "X-API-Key": "key" } });

function refused(problem: Schemas["Problem"] | undefined): never {
  throw new Error(problem ? `${problem.status} ${problem.code}: ${problem.detail} (${problem.request_id})` : "no answer");
}

export async function predict(path: string): Promise<[string, number, string[], number]> {
  const { data, error } = await client.POST("/api/predict", {
    params: { query: { top: 2, excerpts: 3, whole: false, spectrogram: true } },
    body: { path },
  });
  if (!data) refused(error);
  const best: Schemas["Ranked"] = data.top[0];
  const music: "music" | "speech" | "noise" | "tone" | "silence" | null = data.music;
  return [best.label, data.excerpts[0].probabilities[best.label], music ? data.genre_set : [], data.timings.model_seconds];
}

export async function neighbours(path: string): Promise<{ path: string; similarity: number }[]> {
  const { data, error } = await client.POST("/api/similar", { params: { query: { top: 5 } }, body: { path } });
  return data ? data.tracks : refused(error);
}

export async function embedding(path: string): Promise<number[]> {
  const { data, error } = await client.POST("/api/embedding", { body: { path } });
  return data ? data.embedding : refused(error);
}

export async function run(paths: string[]): Promise<number> {
  const submitted = await client.POST("/api/jobs", { body: { paths } });
  const job: Schemas["Job"] = submitted.data ?? refused(submitted.error);
  const address = { params: { path: { job_id: job.id } } };
  const shown = await client.GET("/api/jobs/{job_id}", address);
  const state: "queued" | "running" | "done" | "cancelled" | "failed" = shown.data?.state ?? refused(shown.error);
  const lines = await client.GET("/api/jobs/{job_id}/results", {
    params: { path: address.params.path, query: { after: 10 } },
    parseAs: "stream",
  });
  const events = await client.GET("/api/jobs/{job_id}/events", { ...address, parseAs: "stream" });
  await client.DELETE("/api/jobs/{job_id}", address);
  const all = await client.GET("/api/jobs");
  const one: Schemas["TrackResult"] | Schemas["FailedTrack"] = { path: "a.mp3", error: { code: "x", message: "" } };
  return state === "done" && lines.data && events.data && "error" in one ? (all.data?.jobs.length ?? 0) : 0;
}

export async function model(): Promise<[string[], number | null, string | null, number[][]]> {
  const genres = await client.GET("/api/genres");
  const metrics = await client.GET("/api/metrics");
  const confusion = await client.GET("/api/metrics/confusion", { headers: { Accept: "application/json" } });
  const health = await client.GET("/api/health");
  const ready = await client.GET("/readyz");
  if (ready.error) throw new Error(ready.error.load_error ?? ready.error.code);
  // @ts-expect-error: there is no such address
  await client.GET("/api/none");
  // @ts-expect-error: a job needs paths
  await client.POST("/api/jobs", { body: {} });
  const matrix = confusion.data as Schemas["Confusion"] | undefined;
  return [
    genres.data?.genres ?? [],
    metrics.data?.macro_f1 ?? null,
    health.data?.head?.file ?? null,
    matrix?.matrix ?? [],
  ];
}
