"""Files that name other files and addresses: playlists, scripts, films whose sound lies elsewhere."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

from tests.fuzz.corpus import id3_tag
from tests.runtime.av_files import write_with_pyav
from tests.synthetic import tone

# Suffix: text, in which {there} is what it names.
PLAYLISTS = {
    "m3u": "{there}\n",
    "m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{there}\n#EXT-X-ENDLIST\n",
    "pls": "[playlist]\nFile1={there}\nNumberOfEntries=1\n",
    "xspf": '<?xml version="1.0"?><playlist><trackList>'
    "<track><location>{there}</location></track></trackList></playlist>",
    "asx": '<asx version="3.0"><entry><ref href="{there}"/></entry></asx>',
    "cue": 'FILE "{there}" WAVE\n  TRACK 01 AUDIO\n    INDEX 01 00:00:00\n',
    "svg": '<svg xmlns="http://www.w3.org/2000/svg"><image href="{there}"/></svg>\n',
    "mpd": '<MPD type="static"><Period><AdaptationSet><Representation id="1"><BaseURL>{there}</BaseURL>'
    "</Representation></AdaptationSet></Period></MPD>",
    "ffconcat": "ffconcat version 1.0\nfile '{there}'\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\na=control:{there}\n",
}

MAGICS = (b"\xff\xfe", b"\xff\xfb\x90\x64", b"\xff\xf1\x50\x80", b"OggS\0\2", b"fLaC\0\0\0\x22", id3_tag())
"""Before a playlist they make it look like sound; a byte of 0xff and a tag pass the first look."""


def film_with_its_sound_in(there: Path, folder: Path) -> Path:
    """Write a QuickTime film whose data reference is an alias record of another file, as editors leave them."""
    path = write_with_pyav(folder / "film.m4a", tone(0.5, 16_000), 16_000)
    record = _alias(there)
    entry = struct.pack(">I4sI", 12 + len(record), b"alis", 0) + record
    content = bytearray(path.read_bytes())
    reference = content.index(b"url \0\0\0\1") - 4
    content[reference : reference + 12] = entry
    for box in (b"dref", b"dinf", b"minf", b"mdia", b"trak", b"moov"):  # each holds the one before
        at = content.rindex(box, 0, reference) - 4
        content[at : at + 4] = struct.pack(">I", struct.unpack_from(">I", content, at)[0] + len(entry) - 12)
    path.write_bytes(content)
    return path


def _alias(there: Path) -> bytes:
    """An alias record (Macintosh, version 2) with the absolute POSIX path of a file."""
    name = there.name.encode()
    fixed = bytearray(150)
    struct.pack_into(">IHHH", fixed, 0, 0, 150, 2, 0)
    fixed[10] = 4
    fixed[11:15] = b"Disk"
    fixed[50] = len(name)
    fixed[51 : 51 + len(name)] = name
    struct.pack_into(">hh", fixed, 130, 1, 1)  # from here up to there: one folder
    full = str(there).encode()
    record = bytes(fixed)
    for kind, text in ((18, full), (2, full.replace(b"/", b":"))):
        record += struct.pack(">HH", kind, len(text)) + text + b"\0" * (len(text) % 2)
    return record + struct.pack(">HH", 0xFFFF, 0)


Referrer = Callable[[str], bytes]


def playlist(suffix: str, magic: bytes) -> Referrer:
    """Return a function that makes the playlist which names `there`."""
    return lambda there: magic + PLAYLISTS[suffix].format(there=there).encode() * (40 if magic else 1)
