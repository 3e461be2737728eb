// Which parts of a track the model hears: genre_runtime/audio/excerpts.py and waveform.py in JavaScript.

const SILENCE_PEAK = 1e-3;
const MIN_EXCERPT_SECONDS = 0.5;
const SEGMENT = 4096, STRIDE = 16;
const CANCELLED = 0.02, NEARLY_CANCELLED = 0.2;

/** Whether a waveform is within -60 dB of a constant. */
export function isSilent(waveform) {
  let low = Infinity, high = -Infinity;
  for (const value of waveform) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return waveform.length === 0 || high - low < 2 * SILENCE_PEAK;
}

/** Mean of the channels; where they cancel each other, a loud channel. */
export function mono(channels) {
  const n = channels.length, length = channels[0].length;
  if (n === 1) return channels[0];
  const mixed = new Float32Array(length);
  for (const channel of channels) for (let i = 0; i < length; i++) mixed[i] += channel[i] / n;
  const segments = Math.ceil(length / SEGMENT);
  const powers = channels.map((channel) => variances(channel, segments));
  const own = variances(mixed, segments);
  const unrelated = own.map((_, s) => powers.reduce((sum, one) => sum + one[s], 0) / n ** 2);
  let cancelled = own.map((power, s) => power < CANCELLED * unrelated[s]);
  if (cancelled.filter(Boolean).length >= segments / 4) cancelled = own.map((power, s) => power < NEARLY_CANCELLED * unrelated[s]);
  if (!cancelled.some(Boolean)) return mixed;
  const totals = powers.map((one) => one.reduce((sum, power, s) => sum + (cancelled[s] ? power : 0), 0));
  const loud = channels[totals.findIndex((total) => total >= Math.max(...totals) / 2)];
  cancelled.forEach((is, s) => {
    if (is) mixed.set(loud.subarray(s * SEGMENT, (s + 1) * SEGMENT), s * SEGMENT);
  });
  return mixed;
}

/** Variance in each segment, from every sixteenth sample. */
function variances(channel, segments) {
  return Array.from({ length: segments }, (_, s) => {
    let count = 0, sum = 0, squares = 0;
    for (let i = s * SEGMENT; i < Math.min((s + 1) * SEGMENT, channel.length); i += STRIDE) {
      count++;
      sum += channel[i];
      squares += channel[i] ** 2;
    }
    return Math.max(0, squares / count - (sum / count) ** 2);
  });
}

/** Starts and ends in seconds, evenly spread. */
export function planExcerpts(duration, seconds, most) {
  if (duration <= seconds) return [[0, duration]];
  const count = Math.min(most, Math.floor(duration / seconds + 0.5));
  return Array.from({ length: count }, (_, i) => {
    const start = Math.min(Math.max((i + 0.5) * duration / count - seconds / 2, 0), duration - seconds);
    return [start, start + seconds];
  });
}

/** The excerpts of a track; if all are silent, those of its audible seconds, if there are any. */
export function cutExcerpts(samples, rate, seconds, most) {
  const duration = samples.length / rate;
  const excerpts = cut(samples, rate, planExcerpts(duration, seconds, most));
  if (!excerpts.every((one) => isSilent(one))) return excerpts;
  const audible = [];
  for (let second = 0; second * rate < samples.length; second++) {
    if (!isSilent(samples.subarray(second * rate, (second + 1) * rate))) audible.push(second);
  }
  if (!audible.length) return excerpts;
  const plan = [];
  for (const [start] of planExcerpts(audible.length, seconds, most)) {
    const begin = Math.min(audible[Math.floor(start)], Math.max(0, duration - seconds));
    if (!plan.length || begin - plan.at(-1)[0] >= seconds / 2) plan.push([begin, Math.min(begin + seconds, duration)]);
  }
  return cut(samples, rate, plan);
}

function cut(samples, rate, plan) {
  const pieces = plan.map(([start, end]) => samples.slice(Math.round(start * rate), Math.round(end * rate)));
  return pieces.filter((piece, i) => i === 0 || piece.length >= MIN_EXCERPT_SECONDS * rate);
}
