// The sample rate of a file, from its header. A browser decodes at the rate that it is asked for, and resamples less
// well than the command does: at the file's own rate it leaves the samples as they are.

const MP3_RATES = { 3: [44100, 48000, 32000], 2: [22050, 24000, 16000], 0: [11025, 12000, 8000] };
const ADTS_RATES = [96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350];
const MATROSKA = 0x1a45dfa3, SEGMENT = 0x18538067, TRACKS = 0x1654ae6b, TRACK = 0xae, SOUND = 0xe1, RATE = 0xb5;

/** Samples per second, or null for a kind of file that is not known. */
export function sampleRate(buffer) {
  const view = new DataView(buffer);
  const text = (at, length) => at + length > view.byteLength ? "" : String.fromCharCode(...new Uint8Array(buffer, at, length));
  try {
    const start = text(0, 3) === "ID3" ? 10 + ((view.getUint8(6) << 21) | (view.getUint8(7) << 14) | (view.getUint8(8) << 7) | view.getUint8(9)) : 0;
    if (text(start, 4) === "fLaC") return (view.getUint32(start + 18) >>> 12) || null;
    if (text(0, 4) === "RIFF" && text(8, 4) === "WAVE") return wav(view, text);
    if (text(0, 4) === "OggS") return ogg(view, text);
    if (text(4, 4) === "ftyp") return mp4(view, text, 0, view.byteLength);
    if (view.getUint32(0) === MATROSKA) return matroska(view, 0, view.byteLength);
    return mp3(view, start);
  } catch {
    return null; // cut short
  }
}

function wav(view, text) {
  for (let at = 12; at < view.byteLength; at += 8 + view.getUint32(at + 4, true) + (view.getUint32(at + 4, true) & 1)) {
    if (text(at, 4) === "fmt ") return view.getUint32(at + 12, true);
  }
  return null;
}

function ogg(view, text) {
  const packet = 27 + view.getUint8(26); // behind the table of segments of the first page
  if (text(packet, 8) === "OpusHead") return 48000;
  if (text(packet + 1, 6) === "vorbis") return view.getUint32(packet + 12, true);
  if (text(packet + 1, 4) === "FLAC") return view.getUint32(packet + 27) >>> 12;
  return null;
}

/** Of the first sound track: moov, trak, mdia, then the time scale in mdhd, which is the sample rate. */
function mp4(view, text, from, to) {
  for (let at = from; at + 8 <= to; ) {
    const size = view.getUint32(at) || to - at;
    if (size < 8) return null;
    const kind = text(at + 4, 4);
    if (kind === "mdhd") return view.getUint32(at + (view.getUint8(at + 8) ? 28 : 20));
    const found = ["moov", "trak", "mdia"].includes(kind) ? mp4(view, text, at + 8, at + size) : null;
    if (found) return found;
    at += size;
  }
  return null;
}

/** Of the first sound track of Matroska or WebM: segment, tracks, track, sound. */
function matroska(view, from, to) {
  for (let at = from; at < to; ) {
    const nId = Math.clz32(view.getUint8(at)) - 23; // the leading zeros of the first byte tell the length
    let id = 0;
    for (let i = 0; i < nId; i++) id = id * 256 + view.getUint8(at++);
    const nSize = Math.clz32(view.getUint8(at)) - 23;
    let size = view.getUint8(at++) & (0xff >> nSize), known = size !== 0xff >> nSize;
    for (let i = 1; i < nSize; i++) {
      known ||= view.getUint8(at) !== 0xff;
      size = size * 256 + view.getUint8(at++);
    }
    const end = known ? Math.min(to, at + size) : to; // a recording that goes on does not know its size
    if (id === RATE) return size === 4 ? view.getFloat32(at) : view.getFloat64(at);
    const found = [SEGMENT, TRACKS, TRACK, SOUND].includes(id) ? matroska(view, at, end) : null;
    if (found) return found;
    at = end;
  }
  return null;
}

function mp3(view, start) {
  const end = Math.min(view.byteLength - 4, start + 65536);
  for (let at = start; at < end; at++) {
    const header = view.getUint32(at);
    const version = (header >>> 19) & 3, layer = (header >>> 17) & 3, bits = (header >>> 12) & 15, rate = (header >>> 10) & 3;
    if (header >>> 20 === 0xfff && layer === 0 && at === start) return ADTS_RATES[(view.getUint32(at) >>> 10) & 15] ?? null;
    if (header >>> 21 === 0x7ff && version !== 1 && layer === 1 && bits > 0 && bits < 15 && rate < 3) return MP3_RATES[version][rate];
  }
  return null;
}
