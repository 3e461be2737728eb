// Band-limited resampling with a Kaiser-windowed sinc. It passes what the command passes (91 % of the lower half rate)
// and keeps -100 dB behind it.

const PASSED = 0.913, BETA = 10.06, ATTENUATION = 100;

/** Convert samples from one rate to another. */
export function resample(samples, rate, wanted) {
  if (rate === wanted) return samples;
  const divisor = gcd(rate, wanted), up = wanted / divisor, down = rate / divisor;
  const low = Math.min(1, wanted / rate); // half rate of the slower side, as a share of that of the input
  const cutoff = low * (1 + PASSED) / 2;
  const half = Math.ceil((ATTENUATION - 8) / (2.285 * Math.PI * low * (1 - PASSED)) / 2);
  const phases = Array.from({ length: up }, (_, phase) => taps(phase / up, cutoff, half));
  const made = new Float32Array(Math.round(samples.length * up / down));
  for (let i = 0; i < made.length; i++) {
    const place = i * down, whole = Math.floor(place / up), filter = phases[place % up];
    const first = Math.max(0, half - 1 - whole), last = Math.min(2 * half, samples.length - whole + half - 1);
    let sum = 0;
    for (let k = first; k < last; k++) sum += filter[k] * samples[whole - half + 1 + k];
    made[i] = sum;
  }
  return made;
}

/** Weights of the 2 * half samples around a place between two samples. */
function taps(fraction, cutoff, half) {
  return Float32Array.from({ length: 2 * half }, (_, k) => {
    const distance = k - half + 1 - fraction, x = distance / half;
    const sinc = distance === 0 ? cutoff : Math.sin(Math.PI * cutoff * distance) / (Math.PI * distance);
    return Math.abs(x) > 1 ? 0 : sinc * bessel(BETA * Math.sqrt(1 - x * x)) / bessel(BETA);
  });
}

/** The modified Bessel function of order 0. */
function bessel(x) {
  let sum = 1, term = 1;
  for (let k = 1; term > 1e-12 * sum; k++) sum += term *= (x / (2 * k)) ** 2;
  return sum;
}

function gcd(a, b) {
  return b ? gcd(b, a % b) : a;
}
