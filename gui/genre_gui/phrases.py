"""Messages of the runtime in the language of the window, by patterns; one without a pattern stays English."""

from __future__ import annotations

import re
from functools import cache

from genre_gui.language import localised, mark, tr

PHRASES = (
    # reasons of an answer, and how much of a file could be read
    mark("speech, not music"),
    mark("noise, not music"),
    mark("a tone, not music"),
    mark("the track is silent"),
    mark("the excerpts are silent"),
    mark("the best genre reaches {confidence}, confident answers start at {threshold}"),
    mark("only {read} of {announced} s could be read"),
    mark("only {read} of {announced} s could be read: the file is damaged"),
    # files that cannot be read
    mark("no file at {path}: check the path"),
    mark("the file is empty (0 bytes): expected audio"),
    mark("the file holds only zeros: {expected}"),
    mark("the file holds only tags (ID3 or APE): expected audio after them"),
    mark("the file holds no audio samples: expected at least one"),
    mark("not an audio file: it begins with the text {text}, expected {formats}"),
    mark("not an audio file: it begins with the bytes {bytes}, expected {formats}"),
    mark("not an audio file but {other}: expected {formats}"),
    mark("a JPEG picture"),
    mark("a PNG picture"),
    mark("a PDF document"),
    mark("a ZIP archive"),
    mark("an HTML page"),
    mark("an MPEG video"),
    mark("a MIDI file, which holds notes instead of audio"),
    mark("no decoder reads the file: it is damaged or of an unknown format"),
    mark("damaged {container} file ({error})"),
    mark("damaged {container} file: nothing of it can be decoded ({error})"),
    mark("the {container} file has no audio stream: expected one"),
    mark("the {container} file has no streams: expected one"),
    mark("the {container} file names no sample rate or channels: it is damaged"),
    mark("the {container} file's audio has a format that FFmpeg has no decoder for"),
    mark("the path is a folder: expected an audio file"),
    mark("the path is not a regular file: expected an audio file"),
    mark("the file cannot be opened: {error}"),
    mark("the file cannot be read: {error}"),
    mark("the file decodes to more than {seconds} s: shorten it or raise max_seconds"),
    mark("decoding exceeded the time limit: send less audio"),
    mark("the decoder failed on this file: it sent {error}"),
    mark("{formats} or another audio format"),
    mark("expected {formats} or another audio format"),
    mark("the path cannot be looked up: {error}"),
    mark("the file claims {n} samples per second, expected at most {most}: its header is forged or damaged"),
    mark("the {container} file has a packet of {n} bytes: expected at most {most}, it is damaged or forged"),
    mark("the mov file has a compressed index, which is not supported: save it again"),
    mark("decoding needs more than {memory}: the file is damaged or malicious"),
    mark("the decoder does not finish: the file is damaged or malicious"),
    mark("the decoder crashed on this file ({error}): it is damaged"),
    mark("the decoder exited at this file with status {status}"),
    mark("the system killed the decoder, as it does if memory is low: try again"),
    mark("the decoder did not respond for {seconds} s: the file is damaged or malicious, or its disk does not respond"),
    mark("the decoder process cannot be started: {error}"),
    mark("unexpected failure: {error}"),
    # the model
    mark("no model file at {path}: {advice}"),
    mark("`invoke export` writes it"),
    mark("expected the sidecar beside the graph; `invoke export` writes both"),
    mark("{name} is not a graph that ONNX Runtime can run: {error}"),
    mark("device {device} cannot be used: {why}; available here: {devices}"),
    mark("the model's sidecar cannot be used ({error}): write it again with `invoke export`"),
    mark("the head cannot be used ({reason}): write it with `genre learn`"),
    mark("the head {path} cannot be read ({reason}): check the path"),
    mark("works"),
    mark("{path} is not a state file, or its header is damaged: {advice}"),
    mark("the state file {path} is damaged ({error}): {advice}"),
    mark("name another file, or, if this is a damaged state file, remove it to start again"),
    mark("the state file {path} cannot be used ({reason}): name another one, or a folder that can be written to"),
    mark("the folder of the state file {path} cannot be made: {error}"),
    mark(
        "the state file {path} was written by a newer version of this program (version {version} of the file, "
        "expected {expected}): update the program, or name another file"
    ),
    mark(
        "{path} has sha256 {found}..., the sidecar says {expected}...: the file was changed or cut short, or "
        "belongs to another sidecar; copy both again or run `invoke export`"
    ),
    mark("{path} is a state file: expected a head that `genre learn` wrote"),
    mark("{path} is not a head that `genre learn` wrote: it is not text"),
    mark(
        "the head was learnt with another model (sha256 {found}..., this one has {expected}...): learn it again "
        "with `genre learn`, or name its model with --model"
    ),
    mark(
        "ONNX Runtime cannot be imported ({error}): install genre-runtime[cpu], or genre-runtime[gpu] for CUDA, "
        "but not both"
    ),
    # tags
    mark("has a genre"),
    mark("has a style"),
    mark("has a mood"),
    mark("has these genres"),
    mark("has these styles"),
    mark("has these moods"),
    mark("has this genre"),
    mark("has this style"),
    mark("has this mood"),
    mark("no genre reaches {share}"),
    mark("no styles found"),
    mark("no moods found"),
    mark("no genre to write"),
    mark("no style to write"),
    mark("no mood to write"),
    mark("the map leaves out {genres}"),
    mark("the answer is not confident"),
    mark("the file is not music"),
    mark("{format} files cannot be tagged: {expected}"),
    mark("the tags are damaged ({error})"),
    mark("the tags cannot be read or written safely ({error})"),
    mark("another program changed the file meanwhile: nothing was written, try again"),
    mark("the file was changed after the journal was written: it stays as it is"),
    mark("{error}: check the permissions"),
    mark("the map {path} cannot be read: {error}"),
    mark("the map {path} cannot be used ({error}): expected `label = name`"),
    mark("mutagen, which reads and writes tags, cannot be imported ({error}): install genre-runtime[library]"),
    mark("the file cannot be tagged, it {problem} ({error})"),
    mark("the file holds no audio: expected some"),
    mark("this is not a regular file: expected an audio file"),
    mark("the file was replaced by a link meanwhile: nothing was written"),
    mark("another program replaced the file at the same moment: look at what it is now"),
    mark(
        "the file has {n} names (hard links), and the others would keep the old tags: give it a copy of its own first"
    ),
    mark("the audio would not stay the same: nothing was changed"),
    mark("other tags would not stay the same ({names}): nothing was changed"),
    mark("the recorded file has other audio than the present one: the file stays as it is"),
    mark("the recorded bytes do not give the old file: the file stays as it is"),
    mark("this is not a regular file any more: it stays as it is"),
    mark("the journal {path} cannot be read ({error}): name the file that `genre tag --write` printed"),
    mark("the journal {path} records no change: name the file that `genre tag --write` printed"),
    mark("several ID3v2 tags precede the FLAC file: remove them first"),
    mark("RF64 files, WAV beyond 4 GB, cannot be tagged: convert it to FLAC first"),
    # learning
    mark("choosing how strictly to learn"),
    mark("judging by artists that were held out"),
    mark("judging {n} track by artists that were held out"),
    mark("judging {n} tracks by artists that were held out"),
    mark("learning {genres} genres from {n} tracks"),
    mark("right"),
    mark("macro F1"),
    mark("confident"),
    mark("answer sets"),
    mark("confused"),
    mark("known already"),
    mark("too few"),
    mark("joined"),
    mark("unknown: no genre has tracks by two artists, so no answer will be confident"),
    mark("{accuracy} of {n} tracks, their artists held out"),
    mark("{share} hold a right genre, {size} genres each"),
    mark("never: too few artists, or too many errors, to promise 80 % right"),
    mark("from {threshold}: {coverage} of the tracks, {precision} right"),
    mark("{true} as {answer}: {n}"),
    mark("the files name {n} genre: expected two or more; name more music with genres in its tags"),
    mark("the files name {n} genres: expected two or more; name more music with genres in its tags"),
    mark("no file has one of the genres: name files with genres in their tags"),
    mark(
        "no genre has tracks by two artists: expected some, since a head is judged by artists that it has not learnt "
        "from; name more music, or check the artists in the tags"
    ),
    mark("{genres} with {n} tracks or more: expected two; found were {found}; name more music"),
)
_FIGURES = re.compile(r"[\d.,%\[\] ]+")
_GROUP = {"n": r"\d[\d,]*"}


def translated(message: str) -> str:
    """Return a message of the runtime in the language of the window.

    Parameters
    ----------
    message : str
    """
    if _FIGURES.fullmatch(message):
        return localised(message)
    for pattern, phrase in _patterns():
        if match := pattern.fullmatch(message):
            values = {name: _value(value) for name, value in match.groupdict().items()}
            return tr(phrase, **values)
    if "; " in message:
        parts = message.split("; ")
        return "; ".join(map(translated, parts))
    return message


@cache
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    """Return the patterns of all phrases, those with most words first."""
    found = []
    for phrase in sorted(PHRASES, key=lambda phrase: -len(re.sub(r"\{\w+\}", "", phrase))):
        pieces = re.split(r"\{(\w+)\}", phrase)
        pattern = "".join(
            f"(?P<{piece}>{_GROUP.get(piece, '.+?')})" if place % 2 else re.escape(piece)
            for place, piece in enumerate(pieces)
        )
        found.append((re.compile(pattern, re.DOTALL), phrase))
    return found


def _value(value: str) -> str:
    return translated(value) if " " in value or _FIGURES.fullmatch(value) else value  # a single word is a name
