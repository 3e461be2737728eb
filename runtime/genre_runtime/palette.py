"""The colours of spectrograms, shared by the web page of the service and the window."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Quiet to loud at even steps of lightness, so that equal differences in level look equal, also in grey.
_RAMP = ((13, 15, 40), (61, 22, 104), (133, 36, 120), (205, 66, 98), (246, 130, 74), (252, 228, 158))


def spectrogram_palette(n_colours: int) -> NDArray[np.uint8]:
    """Return colours from quiet to loud.

    Parameters
    ----------
    n_colours : int
        At least 2.

    Returns
    -------
    uint8 array, shape (n_colours, 3)
        Red, green and blue.
    """
    ramp = np.array(_RAMP, np.float64)
    places = np.linspace(0, len(ramp) - 1, n_colours)
    channels = [np.interp(places, np.arange(len(ramp)), ramp[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=1).round().astype(np.uint8)
