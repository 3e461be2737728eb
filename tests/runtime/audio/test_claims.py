"""Files that claim a wrong, unknown or changing length: the length that can be decoded is reported."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest

from genre_runtime.audio.excerpts import plan_excerpts
from tests.runtime import odd_files as odd
from tests.runtime.apart import EXCERPT_SECONDS, Apart
from tests.runtime.odd_files import BARE, FRAGMENTED, coded, patched, sine
from tests.runtime.ogg_pages import ogg_page


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apart]:
    with Apart(tmp_path_factory.mktemp("apart")) as started:
        yield started


@dataclass(frozen=True)
class Claim:
    """A file of tones, how long they really are, and the pitch (Hz) at some seconds of it.

    `cut` says that the file claims noticeably more than there is; None, that it may or may not be known. `also` are
    other lengths that may be found, and 0 an error, where no library reads more than the header says.
    """

    name: str
    make: Callable[[], bytes]
    seconds: float
    pitches: tuple[tuple[float, float], ...] = ()
    cut: bool | None = False
    tolerance: float = 0.25
    also: tuple[float, ...] = ()

    def fits(self, seconds: float) -> bool:
        """Tell whether a duration is within the expected range."""
        return any(abs(seconds - right) <= self.tolerance for right in (self.seconds, *self.also))


@cache
def _long(suffix: str, seconds: float = 4.0, rate: int = 48_000, channels: int = 2, bare: bool = False) -> bytes:
    return coded(suffix, sine(seconds, rate, channels), rate, options=BARE if bare else None)


def _links(suffix: str, *links: tuple[float, int, int], bare: bool = False) -> bytes:
    """Join files of (seconds, rate, channels); the pitch rises by 440 Hz from each to the next."""
    pieces = [
        coded(suffix, sine(seconds, rate, channels, 440.0 * (i + 1)), rate, options=BARE if bare else None)
        for i, (seconds, rate, channels) in enumerate(links)
    ]
    if suffix in (".ogg", ".opus", ".oga"):
        pieces = [odd.of_serial(piece, 100 + i) for i, piece in enumerate(pieces)]
    return b"".join(pieces)


def _chain(
    name: str, suffix: str, *links: tuple[float, int, int], bare: bool = False, tolerance: float = 0.25
) -> Claim:
    ends = np.cumsum([seconds for seconds, _, _ in links])
    pitches = tuple((float(end) - links[i][0] / 2, 440.0 * (i + 1)) for i, end in enumerate(ends) if links[i][0] >= 1)
    return Claim(name, lambda: _links(suffix, *links, bare=bare), float(ends[-1]), pitches, False, tolerance)


def _with_film(sound: str, seconds_of_film: float) -> bytes:
    return odd.multiplexed(odd.theora_pages(seconds_of_film), odd.pages_of(_long(sound)))


def _endless_second_link() -> bytes:
    """A short link, then one that begins at a position of many years."""
    first, second = _long(".opus", 0.1), odd.with_granules(_long(".opus"), lambda granule: granule + 2**60)
    return odd.of_serial(first, 1) + odd.of_serial(second, 2)


def _beside_unknown(suffix: str) -> bytes:
    return odd.multiplexed(odd.pages_of(_long(suffix)), odd.unknown_pages(60))


def _positions(suffix: str, change: Callable[[int], int], only_last: bool) -> bytes:
    return odd.with_granules(_long(suffix), change, only_last=only_last)


def _m4a(atom: bytes, factor: float) -> bytes:
    return odd.with_atom_duration(_long(".m4a"), atom, factor)


POSITIONS: tuple[tuple[str, Callable[[int], int], bool], ...] = (
    ("last page tells no position", lambda granule: -1, True),
    ("last page tells 2**62", lambda granule: 2**62, True),
    ("last page tells ten hours more", lambda granule: granule + 36_000 * 48_000, True),
    ("pages tell ten hours more", lambda granule: granule + 36_000 * 48_000, False),
)

TOO_LONG = (
    _chain("Opus whose last link is long", ".opus", (0.1, 48_000, 1), (8, 48_000, 2)),
    _chain("Opus whose first link is long", ".opus", (8, 48_000, 2), (0.1, 48_000, 1)),
    Claim("Opus whose second link begins in many years", _endless_second_link, 4.1, ((2, 440),), None),
    *(
        Claim(
            f"{suffix} whose {what}", partial(_positions, suffix, change, last), 4, ((2, 440), (3.5, 440)), None, 0.35
        )
        for suffix in (".opus", ".ogg", ".oga")
        for what, change, last in POSITIONS
    ),
    *(
        Claim(
            f"{suffix} with a film of {seconds} s",
            partial(_with_film, suffix, seconds),
            4,
            ((2, 440),),
            None,
        )
        for suffix in (".opus", ".ogg", ".oga")
        for seconds in (2, 40)
    ),
    *(
        Claim(
            f"{suffix} beside an unknown stream",
            partial(_beside_unknown, suffix),
            4,
            ((2, 440),),
            None,
        )
        for suffix in (".opus", ".ogg", ".oga")
    ),
    Claim(
        "FLAC of a million samples too many",
        lambda: odd.with_total_samples(_long(".flac"), 192_000 + 10**6),
        4,
        ((2, 440),),
        True,
    ),
    Claim("FLAC of 2**36 - 1 samples", lambda: odd.with_total_samples(_long(".flac"), 2**36 - 1), 4, ((2, 440),), None),
    Claim("MP3 of ten times the frames", lambda: odd.with_frames(_long(".mp3"), 1_680), 4, ((2, 440),), True),
    Claim("MP3 of 2**32 - 1 frames", lambda: odd.with_frames(_long(".mp3"), 2**32 - 1), 4, ((2, 440),), None),
    Claim(
        "WAV of twice the data", lambda: odd.with_chunk_size(_long(".wav"), b"data", 1_536_000), 4, ((2, 440),), True
    ),
    Claim("AIFF of twice the data", lambda: _aiff(2.0), 4, ((2, 440),), True),
    Claim("AU of twice the data", lambda: patched(_long(".au"), 8, struct.pack(">I", 1_536_000)), 4, ((2, 440),), True),
    *(
        Claim(
            f"M4A whose {atom.decode()} says {factor} times",
            partial(_m4a, atom, factor),
            4,
            ((2, 440),),
            None,
        )
        for atom in (b"mvhd", b"tkhd", b"mdhd", b"elst")
        for factor in (20, 0.1, 0)
        if (atom, factor) not in ((b"elst", 0.1), (b"elst", 0))  # they ask for a part or nothing, and get it
    ),
    Claim(
        "Matroska of ten times the duration",
        lambda: odd.with_matroska_duration(_long(".mka"), 10),
        4,
        ((2, 440),),
        True,
    ),
    Claim(
        "WebM of ten times the duration", lambda: odd.with_matroska_duration(_long(".webm"), 10), 4, ((2, 440),), True
    ),
    Claim(
        "WMA of ten times the duration", lambda: odd.with_play_duration(_long(".wma"), 10), 4, ((2, 440),), True, 0.35
    ),
    Claim(
        "WavPack of ten times the samples",
        lambda: odd.with_wavpack_samples(_long(".wv"), 1_920_000),
        4,
        ((2, 440),),
        True,
    ),
    Claim(
        "TTA of a few samples too many",
        lambda: odd.with_tta_samples(_long(".tta"), 192_000 + 9),
        4,
        ((2, 440),),
        None,
        1.05,  # the last frame, of 1.04 s, does not decode with another length
    ),
)


def _aiff(factor: float) -> bytes:
    """An AIFF whose two sizes, frames and bytes, are multiplied."""
    content = _long(".aiff")
    place = odd.behind(content, b"COMM", 10)
    content = patched(content, place, struct.pack(">I", round(192_000 * factor)))
    return odd.with_chunk_size(content, b"SSND", 8 + round(768_000 * factor), ">")


def _caf(size: int) -> bytes:
    content = _long(".caf")
    return patched(content, odd.behind(content, b"data", 4), struct.pack(">q", size))


def _w64(size: int) -> bytes:
    content = _long(".w64")
    return patched(content, odd.behind(content, b"data\xf3\xac", 16), struct.pack("<Q", size))


def _rf64(size: int) -> bytes:
    """An RF64 whose ds64 names another number of bytes and of samples."""
    content = _long(".rf64")
    place = odd.behind(content, b"ds64", 16)
    return patched(content, place, struct.pack("<QQ", size, size // 4))


def _changing_bit_rate(*bit_rates: int) -> bytes:
    """MP3 of 2 s at each of the bit rates, without a frame that names the length of all."""
    pieces = (
        coded(".mp3", sine(2, 44_100, 2, 440.0 * (i + 1)), 44_100, bit_rate=bit_rate, options=BARE)
        for i, bit_rate in enumerate(bit_rates)
    )
    return b"".join(pieces)


TWO = ((2, 440), (3.5, 440))
RATES = ((2.0, 44_100, 2), (3.0, 22_050, 1))
SHAPES = ((2.0, 44_100, 1), (3.0, 44_100, 2))
AGAIN = ((2.0, 44_100, 2), (3.0, 44_100, 2))

TOO_SHORT = (
    Claim(
        "MP3 that begins at 32 kbit/s",
        lambda: _changing_bit_rate(32_000, 320_000, 320_000),
        6,
        ((1, 440), (3, 880), (5, 1320)),
        None,
        0.4,
    ),
    Claim(
        "MP3 that begins at 320 kbit/s",
        lambda: _changing_bit_rate(320_000, 32_000, 32_000),
        6,
        ((1, 440), (3, 880), (5, 1320)),
        None,
        0.4,
    ),
    Claim("MP3 of 9 frames", lambda: odd.with_frames(_long(".mp3"), 9), 4, TWO, False),
    Claim("MP3 of no frames", lambda: odd.with_frames(_long(".mp3"), 0), 4, TWO, False),
    _chain("MP3s joined", ".mp3", *AGAIN, tolerance=0.4),
    _chain("three MP3s joined", ".mp3", *AGAIN, (2, 44_100, 2), tolerance=0.5),
    _chain("MP3s of different rate and channels joined", ".mp3", *RATES, tolerance=0.4),
    _chain("MP3s of different channels joined", ".mp3", *SHAPES, tolerance=0.4),
    _chain("MP3 that changes its channels", ".mp3", *SHAPES, bare=True, tolerance=0.4),
    _chain("MP3 that changes its rate and channels", ".mp3", *RATES, bare=True, tolerance=0.4),
    _chain("MP3 that rises in rate", ".mp3", (2, 32_000, 1), (3, 48_000, 2), bare=True, tolerance=0.4),
    _chain("MP2 that changes its channels", ".mp2", *SHAPES, tolerance=0.4),
    *(
        _chain(f"{suffix} of {name}", suffix, *links)
        for suffix in (".ogg", ".oga")
        for name, links in (
            ("two links", AGAIN),
            ("three links", (*AGAIN, (2.0, 44_100, 2))),
            ("links of different rate and channels", RATES),
            ("links of different channels", SHAPES),
            ("a long last link", ((0.2, 44_100, 2), (6.0, 44_100, 2))),
        )
    ),
    _chain("Opus of two links", ".opus", (2, 48_000, 2), (3, 48_000, 2)),
    _chain("Opus of three links", ".opus", (2, 48_000, 2), (3, 48_000, 2), (2, 48_000, 2)),
    _chain("Opus of links of different channels", ".opus", (2, 48_000, 1), (3, 48_000, 2)),
    _chain("Opus of a mono link behind stereo", ".opus", (2, 48_000, 2), (3, 48_000, 1)),
    Claim("FLAC of 48,000 samples", lambda: odd.with_total_samples(_long(".flac"), 48_000), 4, TWO, False),
    Claim("FLAC of one sample", lambda: odd.with_total_samples(_long(".flac"), 1), 4, TWO, False),
    Claim("FLAC of unknown length", lambda: odd.with_total_samples(_long(".flac"), 0), 4, TWO, False),
    _chain("FLACs joined", ".flac", *AGAIN),
    Claim("WAV of no data", lambda: odd.with_chunk_size(_long(".wav"), b"data", 0), 4, TWO, False),
    Claim("WAV of endless data", lambda: odd.with_chunk_size(_long(".wav"), b"data", 2**32 - 1), 4, TWO, False),
    Claim("WAV of 2**31 - 1 bytes", lambda: odd.with_chunk_size(_long(".wav"), b"data", 2**31 - 1), 4, TWO, None),
    Claim(
        "WAV of a quarter of its data",
        lambda: odd.with_chunk_size(_long(".wav"), b"data", 192_000),
        4,
        (),
        None,
        also=(1,),
    ),
    Claim("WAV of an odd number of bytes", lambda: odd.with_chunk_size(_long(".wav"), b"data", 767_999), 4, TWO, False),
    Claim("RF64 of no data", lambda: _rf64(0), 4, (), None, also=(0,)),
    Claim("RF64 of endless data", lambda: _rf64(2**63 - 1), 4, TWO, None),
    Claim("RF64 of a quarter of its data", lambda: _rf64(192_000), 4, (), None, also=(1,)),
    Claim("W64 of no data", lambda: _w64(24), 4, TWO, False),
    Claim("W64 of endless data", lambda: _w64(2**62), 4, TWO, None),
    Claim("W64 of a quarter of its data", lambda: _w64(192_024), 4, TWO, False),
    Claim("AIFF of no data", lambda: _aiff(0), 4, (), None, also=(0,)),
    Claim("AIFF of a quarter of its data", lambda: _aiff(0.25), 4, (), None, also=(1,)),
    Claim("AU of no data", lambda: patched(_long(".au"), 8, bytes(4)), 4, TWO, False),
    Claim("AU of unknown length", lambda: patched(_long(".au"), 8, b"\xff" * 4), 4, TWO, False),
    Claim("AU of a quarter of its data", lambda: patched(_long(".au"), 8, struct.pack(">I", 192_000)), 4, TWO, False),
    Claim("CAF of unknown length", lambda: _caf(-1), 4, TWO, False),
    Claim("CAF of a quarter of its data", lambda: _caf(192_004), 4, (), None, also=(1,)),
    Claim("CAF of endless data", lambda: _caf(2**62), 4, TWO, None),
    _chain("ADTS joined", ".aac", *AGAIN, tolerance=0.4),
    _chain("ADTS that changes from mono to stereo", ".aac", *SHAPES, tolerance=0.4),
    _chain("ADTS that changes from stereo to mono", ".aac", *SHAPES[::-1], tolerance=0.4),
    _chain("ADTS that changes its rate", ".aac", (2, 44_100, 2), (3, 22_050, 2), tolerance=0.4),
    _chain("ADTS that changes its rate and channels", ".aac", *RATES, tolerance=0.4),
    Claim("WavPacks joined", lambda: _links(".wv", *AGAIN), 5, ((1, 440),), False, also=(2,)),
    Claim("M4A in pieces", lambda: coded(".m4a", sine(4, 48_000, 2), 48_000, options=FRAGMENTED), 4, TWO, False),
    Claim("Matroska without duration", lambda: odd.with_matroska_duration(_long(".mka"), None), 4, TWO, False),
    Claim("Matroska of a tenth of the duration", lambda: odd.with_matroska_duration(_long(".mka"), 0.1), 4, TWO, False),
    Claim("WebM without duration", lambda: odd.with_matroska_duration(_long(".webm"), None), 4, TWO, False),
    Claim("WebM of a tenth of the duration", lambda: odd.with_matroska_duration(_long(".webm"), 0.1), 4, TWO, False),
    Claim("WMA of a tenth of the duration", lambda: odd.with_play_duration(_long(".wma"), 0.1), 4, TWO, False, 0.35),
    Claim("WMA of no duration", lambda: odd.with_play_duration(_long(".wma"), 0), 4, TWO, False, 0.35),
    Claim("WavPack of a tenth of the samples", lambda: odd.with_wavpack_samples(_long(".wv"), 19_200), 4, TWO, False),
    Claim("WavPack of unknown length", lambda: odd.with_wavpack_samples(_long(".wv"), 2**32 - 1), 4, TWO, None),
)


def _ids(claims: tuple[Claim, ...]) -> list[str]:
    names = [claim.name for claim in claims]
    assert len(set(names)) == len(names)
    return names


@pytest.mark.parametrize("claim", [*TOO_LONG, *TOO_SHORT], ids=_ids(TOO_LONG + TOO_SHORT))
def test_length_is_measured_and_not_claimed(apart: Apart, tmp_path: Path, claim: Claim) -> None:
    path = tmp_path / "claim.bin"
    path.write_bytes(claim.make())
    answers = {how: apart.classify(path, how) for how in ("path", "whole", "bytes", "file")}
    if 0 in claim.also and all(found.error == "empty_audio" for found in answers.values()):
        return
    for how, found in answers.items():
        assert found.error is None, (how, found.message)
        assert found.label == "tone", how
        assert claim.fits(found.duration), (how, found.duration)
        plan = plan_excerpts(found.duration, EXCERPT_SECONDS, 3)
        if how != "whole":
            assert found.starts == pytest.approx([start for start, _ in plan], abs=0.3), how
        else:
            assert found.ends[-1] == pytest.approx(found.duration, abs=0.55)
            assert not any(found.silent[:-1]), "a hole"
        if claim.cut is not None:
            assert (found.announced is not None) == claim.cut, (how, found.announced)
        if found.announced is not None:
            assert found.announced > found.duration
            assert found.remark
    durations = [found.duration for found in answers.values()]
    assert max(durations) - min(durations) < 0.06, "one length, however the file comes in and however much is looked at"


@pytest.mark.parametrize("claim", [*TOO_LONG, *TOO_SHORT], ids=_ids(TOO_LONG + TOO_SHORT))
def test_each_part_is_decoded_at_its_own_rate(apart: Apart, tmp_path: Path, claim: Claim) -> None:
    path = tmp_path / "claim.bin"
    path.write_bytes(claim.make())
    if 0 in claim.also and apart.classify(path).error:
        return
    found = apart.decode(path, [second for second, _ in claim.pitches])
    assert claim.fits(found.seconds), found.seconds
    assert found.pitches == pytest.approx([pitch for _, pitch in claim.pitches], abs=15)


def test_opus_with_huge_page_positions(apart: Apart, tmp_path: Path) -> None:
    """Packets of 60 ms that hold no sound, whose pages tell 2**62."""
    head = ogg_page(b"OpusHead" + struct.pack("<BBHIhB", 1, 1, 0, 48_000, 0, 0), number=0, flags=2)
    tags = ogg_page(b"OpusTags" + struct.pack("<I", 4) + b"none" + bytes(4), number=1)
    sound = ogg_page(b"\x18" * 255, number=2, n_packets=255, granule=2**62, flags=4)
    (tmp_path / "endless.opus").write_bytes(head + tags + sound)
    found = apart.classify(tmp_path / "endless.opus")
    assert found.error is not None or found.duration < 20


WHOLE = (*odd.LIBSNDFILE, *odd.PYAV)


@pytest.mark.parametrize("seconds", [0.9, 4.03])
@pytest.mark.parametrize("suffix", WHOLE)
def test_complete_file_is_not_reported_as_incomplete(apart: Apart, tmp_path: Path, suffix: str, seconds: float) -> None:
    """Padding of encoders and rounding of headers are not missing sound."""
    rate = 48_000 if suffix in (".opus", ".webm") else 44_100
    path = tmp_path / f"whole{suffix}"
    path.write_bytes(coded(suffix, sine(seconds, rate, 2), rate))
    for how in ("path", "whole"):
        found = apart.classify(path, how)
        assert found.error is None, found.message
        assert (found.announced, found.remark, found.label) == (None, None, "tone")
        assert found.duration == pytest.approx(seconds, abs=0.15)


@pytest.mark.parametrize("chunk", [b"LIST", b"id3 ", b"cue ", b"junk"])
def test_chunks_after_the_data_of_a_wav_are_not_decoded(apart: Apart, tmp_path: Path, chunk: bytes) -> None:
    content = _long(".wav") + chunk + struct.pack("<I", 40_000) + b"\x40" * 40_000
    path = tmp_path / "chunks.wav"
    path.write_bytes(patched(content, 4, struct.pack("<I", len(content) - 8)))
    for how in ("path", "whole"):
        found = apart.classify(path, how)
        assert found.duration == pytest.approx(4, abs=0.01)
        assert found.announced is None


CUT = {
    # suffix: whether the beginning of the file tells how long it is
    ".wav": True,
    ".aiff": True,
    ".au": True,
    ".w64": True,
    ".rf64": True,
    ".caf": True,
    ".flac": True,
    ".mp3": True,
    ".m4a": True,
    ".alac.m4a": True,
    ".mka": True,
    ".webm": True,
    ".wma": True,
    ".wv": True,
    ".tta": True,
    ".avi": True,
    ".ogg": None,
    ".oga": None,
    ".opus": None,
    ".aac": False,
}


def _in_front(suffix: str, seconds: float) -> bytes:
    content = coded(suffix, sine(seconds, 48_000, 2), 48_000)
    return odd.with_index_first(content) if suffix.endswith(".m4a") else content


@pytest.mark.parametrize("share", [0.25, 0.6, 0.9])
@pytest.mark.parametrize("suffix", CUT)
def test_a_download_cut_short_says_how_much_was_readable(
    apart: Apart, tmp_path: Path, suffix: str, share: float
) -> None:
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(odd.cut(_in_front(suffix, 12), share))
    durations = []
    for how in ("path", "whole", "bytes"):
        found = apart.classify(path, how)
        assert found.error is None, found.message
        assert found.label == "tone"
        assert found.duration == pytest.approx(12 * share, abs=1.8)  # the last page of an Ogg is lost
        durations.append(found.duration)
        if CUT[suffix] is False:
            assert found.announced is None
        elif CUT[suffix]:
            assert found.announced == pytest.approx(12, abs=0.5 if suffix == ".wma" else 0.2)
        if found.announced is not None:
            assert f"{found.duration:.1f} of {found.announced:.1f} s" in (found.remark or "")
    assert max(durations) - min(durations) < 0.06


@pytest.mark.parametrize("filling", [None, b"\0"], ids=["noise", "zeros"])
@pytest.mark.parametrize("suffix", [".flac", ".mp3", ".m4a", ".alac.m4a", ".wma", ".wv", ".tta"])
def test_mostly_damaged_file(apart: Apart, tmp_path: Path, suffix: str, filling: bytes | None) -> None:
    """Three of thirty seconds can be decoded."""
    path = tmp_path / f"damaged{suffix}"
    samples = sine(30, 48_000, 1) * np.linspace(0.9, 1, 30 * 48_000, dtype=np.float32)[:, None]
    content = coded(suffix, samples, 48_000)
    path.write_bytes(odd.damaged(odd.with_index_first(content) if suffix.endswith(".m4a") else content, 0.1, filling))
    found = {how: apart.classify(path, how) for how in ("path", "whole")}
    if (suffix, filling) == (".tta", b"\0"):  # zeros are a frame of silence with a right checksum
        assert {one.error for one in found.values()} == {None}
        return
    for one in found.values():
        assert one.error is None, one.message
        assert one.duration == pytest.approx(3, abs=1.2)
        assert one.announced == pytest.approx(30, abs=0.5)
        assert f"only {one.duration:.1f} of {one.announced:.1f} s" in (one.remark or "")
    assert found["path"].duration == pytest.approx(found["whole"].duration, abs=0.06)
