"""Multinomial logistic regression with a ridge penalty, fitted by L-BFGS (Liu and Nocedal, 1989)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np

from genre_runtime.audio.excerpts import FloatArray

MEMORY = 8
"""Pairs of steps that approximate the curvature."""
MOST_STEPS = 100
SMALLEST_GAIN = 1e-5
"""Relative decrease of the loss at which the fit ends."""
SUFFICIENT = 1e-4
"""Share of the decrease that the gradient promises (Armijo)."""
MOST_HALVINGS = 20


def fit_regression(
    features: FloatArray,
    targets: FloatArray,
    *,
    offsets: FloatArray | None = None,
    penalty: float = 1.0,
    start: FloatArray | None = None,
) -> FloatArray:
    """Return the coefficients with the smallest penalised cross entropy.

    Parameters
    ----------
    features : float32 array, shape (n_rows, n_features)
    targets : float32 array, shape (n_rows, n_labels)
        Share of each label; a row sums to its weight.
    offsets : float32 array, shape (n_rows, n_labels), optional
        Known parts of the logits.
    penalty : float
        Half of it times the sum of the squared weights is added to the sum over rows; the bias is free.
    start : float32 array, shape (n_features + 1, n_labels), optional
        Where to begin, such as the coefficients of similar data.

    Returns
    -------
    float32 array, shape (n_features + 1, n_labels)
        Weights, and the bias in the last row.
    """
    n_rows, n_features = features.shape
    row_weights = targets.sum(axis=1, keepdims=True)

    def loss_and_gradient(flat: FloatArray) -> tuple[float, FloatArray]:
        weights, bias = np.split(flat.reshape(n_features + 1, -1), [n_features])
        logits = features @ weights + bias
        if offsets is not None:
            logits += offsets
        logits -= logits.max(axis=1, keepdims=True)
        exponentials = np.exp(logits)
        sums = exponentials.sum(axis=1, keepdims=True)
        loss = float((row_weights * np.log(sums)).sum(dtype=np.float64) - (targets * logits).sum(dtype=np.float64))
        errors = row_weights * exponentials / sums - targets
        gradient = np.concatenate([features.T @ errors + np.float32(penalty) * weights, errors.sum(axis=0)[None]])
        return loss + penalty / 2 * float((weights**2).sum(dtype=np.float64)), gradient.ravel()

    if start is None:
        start = np.zeros((n_features + 1, targets.shape[1]), np.float32)
    # The longest step along the gradient that cannot overshoot (Boehning, 1992).
    curvature = 0.5 * float((features**2).sum(axis=1).mean() + 1) * n_rows + penalty
    return _minimised(loss_and_gradient, start.ravel().astype(np.float32), 1 / curvature).reshape(start.shape)


def _minimised(
    function: Callable[[FloatArray], tuple[float, FloatArray]], point: FloatArray, first_step: float
) -> FloatArray:
    """Return the minimum of a convex function that also returns its gradient."""
    loss, gradient = function(point)
    pairs: deque[tuple[FloatArray, FloatArray, float]] = deque(maxlen=MEMORY)
    for _ in range(MOST_STEPS):
        direction = -_scaled(gradient, pairs, first_step)
        slope = float(direction @ gradient)
        if slope >= 0:
            break
        length = 1.0
        for _ in range(MOST_HALVINGS):
            moved = point + np.float32(length) * direction
            new_loss, new_gradient = function(moved)
            if new_loss <= loss + SUFFICIENT * length * slope:
                break
            length /= 2
        else:
            break  # at the precision of float32
        step, change = moved - point, new_gradient - gradient
        product = float(step @ change)
        if product > 0:
            pairs.append((step, change, product))
        gain = loss - new_loss
        point, loss, gradient = moved, new_loss, new_gradient
        if gain <= SMALLEST_GAIN * max(abs(loss), 1e-12):
            break
    return point


def _scaled(gradient: FloatArray, pairs: deque[tuple[FloatArray, FloatArray, float]], first_step: float) -> FloatArray:
    """Return the gradient times the approximate inverse of the curvature (two-loop recursion)."""
    scaled = gradient.copy()
    factors = []
    for step, change, product in reversed(pairs):
        factors.append(float(step @ scaled) / product)
        scaled -= np.float32(factors[-1]) * change
    if pairs:
        _, change, product = pairs[-1]
        scaled *= np.float32(product / float(change @ change))
    else:
        scaled *= np.float32(first_step)
    for (step, change, product), factor in zip(pairs, reversed(factors), strict=True):
        scaled += np.float32(factor - float(change @ scaled) / product) * step
    return scaled
