"""Tags: the classes of AudioSet that say something about music, and about what is not music.

The classes are those of AudioSet's ontology (Gemmeke et al., 2017, CC BY 4.0), by their places in the 527 outputs of
networks that were taught on it; the names are in the words of music collections.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genre_runtime.library.genre_names import spelling_key

TagKind = Literal["music", "style", "mood", "instrument", "voice", "speech", "noise", "tone"]
N_CLASSES = 527


class TagClass(NamedTuple):
    """One tag.

    Attributes
    ----------
    place : int
        Of its class among AudioSet's, 0 to 526.
    name : str
    kind : str
    genre : str or None
        Genre that a style belongs to, by the names of FMA and GTZAN.
    """

    place: int
    name: str
    kind: TagKind
    genre: str | None = None


TAG_CLASSES = (
    TagClass(137, "music", "music"),
    TagClass(216, "pop", "style", "pop"),
    TagClass(217, "hip hop", "style", "hiphop"),
    TagClass(219, "rock", "style", "rock"),
    TagClass(220, "heavy metal", "style", "metal"),
    TagClass(221, "punk rock", "style", "rock"),
    TagClass(222, "grunge", "style", "rock"),
    TagClass(223, "progressive rock", "style", "rock"),
    TagClass(224, "rock and roll", "style", "rock"),
    TagClass(225, "psychedelic rock", "style", "rock"),
    TagClass(226, "rhythm and blues", "style"),
    TagClass(227, "soul", "style"),
    TagClass(228, "reggae", "style", "reggae"),
    TagClass(229, "country", "style", "country"),
    TagClass(230, "swing", "style", "jazz"),
    TagClass(231, "bluegrass", "style", "country"),
    TagClass(232, "funk", "style"),
    TagClass(233, "folk", "style", "folk"),
    TagClass(234, "Middle Eastern music", "style", "international"),
    TagClass(235, "jazz", "style", "jazz"),
    TagClass(236, "disco", "style", "disco"),
    TagClass(237, "classical", "style", "classical"),
    TagClass(238, "opera", "style", "classical"),
    TagClass(239, "electronic", "style", "electronic"),
    TagClass(240, "house", "style", "electronic"),
    TagClass(241, "techno", "style", "electronic"),
    TagClass(242, "dubstep", "style", "electronic"),
    TagClass(243, "drum and bass", "style", "electronic"),
    TagClass(244, "electronica", "style", "electronic"),
    TagClass(245, "electronic dance music", "style", "electronic"),
    TagClass(246, "ambient", "style"),
    TagClass(247, "trance", "style", "electronic"),
    TagClass(248, "Latin American music", "style", "international"),
    TagClass(249, "salsa", "style", "international"),
    TagClass(250, "flamenco", "style", "international"),
    TagClass(251, "blues", "style", "blues"),
    TagClass(252, "children's music", "style"),
    TagClass(253, "new age", "style"),
    TagClass(254, "vocal music", "style"),
    TagClass(255, "a cappella", "style"),
    TagClass(256, "African music", "style", "international"),
    TagClass(257, "afrobeat", "style", "international"),
    TagClass(258, "Christian music", "style"),
    TagClass(259, "gospel", "style"),
    TagClass(260, "Asian music", "style", "international"),
    TagClass(261, "Carnatic music", "style", "international"),
    TagClass(262, "Bollywood music", "style", "international"),
    TagClass(263, "ska", "style", "reggae"),
    TagClass(264, "traditional music", "style"),
    TagClass(265, "independent music", "style"),
    TagClass(267, "background music", "style"),
    TagClass(268, "theme music", "style"),
    TagClass(269, "jingle", "style"),
    TagClass(270, "soundtrack", "style"),
    TagClass(271, "lullaby", "style"),
    TagClass(272, "video game music", "style"),
    TagClass(273, "Christmas music", "style"),
    TagClass(274, "dance music", "style"),
    TagClass(275, "wedding music", "style"),
    TagClass(276, "happy", "mood"),
    TagClass(277, "funny", "mood"),
    TagClass(278, "sad", "mood"),
    TagClass(279, "tender", "mood"),
    TagClass(280, "exciting", "mood"),
    TagClass(281, "angry", "mood"),
    TagClass(282, "scary", "mood"),
    TagClass(139, "plucked strings", "instrument"),
    TagClass(140, "guitar", "instrument"),
    TagClass(141, "electric guitar", "instrument"),
    TagClass(142, "bass guitar", "instrument"),
    TagClass(143, "acoustic guitar", "instrument"),
    TagClass(144, "slide guitar", "instrument"),
    TagClass(145, "tapped guitar", "instrument"),
    TagClass(146, "strum", "instrument"),
    TagClass(147, "banjo", "instrument"),
    TagClass(148, "sitar", "instrument"),
    TagClass(149, "mandolin", "instrument"),
    TagClass(150, "zither", "instrument"),
    TagClass(151, "ukulele", "instrument"),
    TagClass(152, "keyboard", "instrument"),
    TagClass(153, "piano", "instrument"),
    TagClass(154, "electric piano", "instrument"),
    TagClass(155, "organ", "instrument"),
    TagClass(156, "electronic organ", "instrument"),
    TagClass(157, "Hammond organ", "instrument"),
    TagClass(158, "synthesizer", "instrument"),
    TagClass(159, "sampler", "instrument"),
    TagClass(160, "harpsichord", "instrument"),
    TagClass(161, "percussion", "instrument"),
    TagClass(162, "drum kit", "instrument"),
    TagClass(163, "drum machine", "instrument"),
    TagClass(164, "drum", "instrument"),
    TagClass(165, "snare drum", "instrument"),
    TagClass(166, "rimshot", "instrument"),
    TagClass(167, "drum roll", "instrument"),
    TagClass(168, "bass drum", "instrument"),
    TagClass(169, "timpani", "instrument"),
    TagClass(170, "tabla", "instrument"),
    TagClass(171, "cymbal", "instrument"),
    TagClass(172, "hi-hat", "instrument"),
    TagClass(173, "wood block", "instrument"),
    TagClass(174, "tambourine", "instrument"),
    TagClass(176, "maraca", "instrument"),
    TagClass(177, "gong", "instrument"),
    TagClass(178, "tubular bells", "instrument"),
    TagClass(179, "mallet percussion", "instrument"),
    TagClass(180, "marimba or xylophone", "instrument"),
    TagClass(181, "glockenspiel", "instrument"),
    TagClass(182, "vibraphone", "instrument"),
    TagClass(183, "steelpan", "instrument"),
    TagClass(184, "orchestra", "instrument"),
    TagClass(185, "brass", "instrument"),
    TagClass(186, "French horn", "instrument"),
    TagClass(187, "trumpet", "instrument"),
    TagClass(188, "trombone", "instrument"),
    TagClass(189, "bowed strings", "instrument"),
    TagClass(190, "string section", "instrument"),
    TagClass(191, "violin", "instrument"),
    TagClass(192, "pizzicato", "instrument"),
    TagClass(193, "cello", "instrument"),
    TagClass(194, "double bass", "instrument"),
    TagClass(195, "woodwind", "instrument"),
    TagClass(196, "flute", "instrument"),
    TagClass(197, "saxophone", "instrument"),
    TagClass(198, "clarinet", "instrument"),
    TagClass(199, "harp", "instrument"),
    TagClass(208, "harmonica", "instrument"),
    TagClass(209, "accordion", "instrument"),
    TagClass(210, "bagpipes", "instrument"),
    TagClass(211, "didgeridoo", "instrument"),
    TagClass(213, "theremin", "instrument"),
    TagClass(214, "singing bowl", "instrument"),
    TagClass(215, "scratching", "instrument"),
    TagClass(27, "singing", "voice"),
    TagClass(32, "male singing", "voice"),
    TagClass(33, "female singing", "voice"),
    TagClass(34, "child singing", "voice"),
    TagClass(28, "choir", "voice"),
    TagClass(30, "chant", "voice"),
    TagClass(31, "mantra", "voice"),
    TagClass(29, "yodeling", "voice"),
    TagClass(36, "rapping", "voice"),
    TagClass(37, "humming", "voice"),
    TagClass(35, "synthetic singing", "voice"),
    TagClass(218, "beatboxing", "voice"),
    TagClass(0, "speech", "speech"),
    TagClass(1, "male speech", "speech"),
    TagClass(2, "female speech", "speech"),
    TagClass(3, "child speech", "speech"),
    TagClass(4, "conversation", "speech"),
    TagClass(5, "narration", "speech"),
    TagClass(7, "synthetic speech", "speech"),
    TagClass(513, "noise", "noise"),
    TagClass(520, "white noise", "noise"),
    TagClass(521, "pink noise", "noise"),
    TagClass(515, "static", "noise"),
    TagClass(514, "environmental noise", "noise"),
    TagClass(496, "hum", "noise"),
    TagClass(516, "mains hum", "noise"),
    TagClass(283, "wind", "noise"),
    TagClass(289, "rain", "noise"),
    TagClass(288, "water", "noise"),
    TagClass(67, "applause", "noise"),
    TagClass(69, "crowd", "noise"),
    TagClass(300, "vehicle", "noise"),
    TagClass(343, "engine", "noise"),
    TagClass(130, "buzz", "noise"),
    TagClass(501, "sine wave", "tone"),
    TagClass(503, "chirp tone", "tone"),
    TagClass(481, "beep", "tone"),
    TagClass(393, "dial tone", "tone"),
    TagClass(394, "busy signal", "tone"),
    TagClass(389, "telephone", "tone"),
)


def style_shares(genres: Sequence[str]) -> NDArray[np.float64]:
    """Return how much each of AudioSet's styles stands for a genre: all styles of one genre alike, 1 together.

    A style that is a genre of its own here, such as techno beside electronic, stands for no other one.

    Parameters
    ----------
    genres : sequence of str

    Returns
    -------
    float64 array, shape (n_genres, N_CLASSES)
        A genre that no style is named after has zeros.
    """
    row_of = {spelling_key(genre): row for row, genre in enumerate(genres)}
    shares = np.zeros((len(genres), N_CLASSES))
    for tag in TAG_CLASSES:
        if tag.kind == "style":
            row = row_of.get(spelling_key(tag.name), row_of.get(spelling_key(tag.genre)) if tag.genre else None)
            if row is not None:
                shares[row, tag.place] = 1
    normalised: NDArray[np.float64] = shares / np.maximum(1, shares.sum(axis=1, keepdims=True))
    return normalised
