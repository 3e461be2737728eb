"""The pipeline to compare with: librosa decodes and computes, torch runs the same network.

So did the student report that this project descends from: the whole file by `librosa.load`, a log-mel
spectrogram for each ten seconds, the network on all of them at once, the mean of its answers. One file after
the other; torch and NumPy may use every core.

    python -m tests.benchmarks.reference CHECKPOINT FILE
"""

from __future__ import annotations

import sys
from pathlib import Path

import librosa
import numpy as np
import torch
from numpy.typing import NDArray

from genre_runtime import log_mel_spectrogram
from genre_training.model.checkpoint import load_checkpoint


class Reference:
    """The network of a checkpoint behind librosa's decoder and spectrogram.

    Parameters
    ----------
    checkpoint_path : Path
    threads : int
        Threads of torch.

    Raises
    ------
    CheckpointError
    """

    def __init__(self, checkpoint_path: Path, threads: int) -> None:
        torch.set_num_threads(threads)
        checkpoint = load_checkpoint(checkpoint_path, ("temperature", "excerpt_seconds"))
        assert checkpoint.temperature is not None
        assert checkpoint.excerpt_seconds is not None
        self.audio, self.labels, self.temperature = checkpoint.audio, checkpoint.labels, checkpoint.temperature
        self.fine_audio = checkpoint.fine_audio
        self.n_excerpt = round(checkpoint.excerpt_seconds * self.audio.sample_rate)
        self.network = checkpoint.trained_network()

    def classify_file(self, path: Path) -> dict[str, float]:
        """Return the probability of each genre, averaged over the whole track; a rest below ten seconds is left out."""
        waveform, _ = librosa.load(path, sr=self.audio.sample_rate, mono=True)
        starts = range(0, max(1, waveform.size - self.n_excerpt + 1), self.n_excerpt)
        excerpts = [waveform[start : start + self.n_excerpt] for start in starts]
        inputs = [np.stack([self._log_mel(excerpt) for excerpt in excerpts])]
        if self.fine_audio is not None:  # librosa does not know Kaldi's scale
            inputs.append(np.stack([log_mel_spectrogram(excerpt, self.fine_audio) for excerpt in excerpts]))
        with torch.inference_mode():
            logits = self.network(*map(torch.from_numpy, inputs))[0]
            probabilities = torch.softmax(logits / self.temperature, dim=1).mean(dim=0)
        return dict(zip(self.labels, probabilities.tolist(), strict=True))

    def _log_mel(self, excerpt: NDArray[np.float32]) -> NDArray[np.float32]:
        mel = librosa.feature.melspectrogram(
            y=excerpt,
            sr=self.audio.sample_rate,
            n_fft=self.audio.n_fft,
            win_length=self.audio.window_length,
            hop_length=self.audio.hop_length,
            n_mels=self.audio.n_mels,
            fmin=self.audio.f_min,
            fmax=self.audio.f_max,
        )
        return np.asarray(librosa.power_to_db(mel, ref=np.max, top_db=self.audio.top_db), np.float32)


if __name__ == "__main__":
    answer = Reference(Path(sys.argv[1]), torch.get_num_threads()).classify_file(Path(sys.argv[2]))
    print(max(answer, key=lambda label: answer[label]))
