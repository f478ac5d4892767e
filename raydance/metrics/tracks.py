"""How near 2-D tracks come to true ones: displacement, TAP-Vid's Jaccard and occlusion, smoothness.

Tracks are `[..., T, N, 2]` with any leading dimensions: T frames, N points, (x, y). Displacements
are in the unit of the points; figures are given in pixels of a frame of 256 x 256 and normalised.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import numpy as np

from raydance.errors import InputError

THRESHOLDS: Final = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Pixels at 256 x 256 below which TAP-Vid calls a point right."""

Norm = Literal["point", "frame"]


def ade(
    predicted: np.ndarray,
    true: np.ndarray,
    *,
    visible: np.ndarray | None = None,
    best_of: bool = False,
    norm: Norm = "point",
) -> float:
    """Average displacement error: mean distance over frames and points.

    Args:
        predicted: `[..., T, N, 2]`, or `[..., K, T, N, 2]` with `best_of`.
        true: `[..., T, N, 2]`.
        visible: `[..., T, N]` bool, the points that count; all by default.
        best_of: of K samples the one with the least error counts.
        norm: `point` is the distance of each point (Lang2Motion), `frame` that of all a frame's
            points as one vector (DLow, Yuan and Kitani 2020).

    Raises:
        InputError: shapes that do not fit, values that are not finite, or nothing that counts.
    """
    errors, counts = _displacements(predicted, true, visible, best_of, norm)
    return _mean_of_best(errors, counts, (-2, -1), best_of)


def fde(
    predicted: np.ndarray,
    true: np.ndarray,
    *,
    visible: np.ndarray | None = None,
    best_of: bool = False,
    norm: Norm = "point",
) -> float:
    """Final displacement error: as `ade`, in the last frame alone."""
    errors, counts = _displacements(predicted, true, visible, best_of, norm)
    return _mean_of_best(errors[..., -1:, :], counts[..., -1:, :], (-2, -1), best_of)


def average_jaccard(
    predicted: np.ndarray,
    true: np.ndarray,
    *,
    predicted_visible: np.ndarray,
    true_visible: np.ndarray,
    query_frame: np.ndarray | int = 0,
    query_mode: Literal["first", "strided"] = "first",
) -> float:
    """TAP-Vid's average Jaccard over the thresholds 1, 2, 4, 8, 16; the mean over videos.

    A true positive is visible in both and nearer than the threshold. Jaccard = true positives /
    (truly visible + false positives), false positives being called visible while hidden or too
    far. (Doersch et al. 2022.)

    Args:
        predicted, true: `[..., T, N, 2]`, pixels of a frame of 256 x 256.
        predicted_visible, true_visible: `[..., T, N]` bool.
        query_frame: frame in which a tracker was given the points, one number or `[..., N]`.
        query_mode: `first` counts the frames after the query, `strided` all but the query's.

    Raises:
        InputError: as `ade`.
    """
    values = tapvid(
        predicted,
        true,
        predicted_visible=predicted_visible,
        true_visible=true_visible,
        query_frame=query_frame,
        query_mode=query_mode,
    )
    return float(np.mean(values["average_jaccard"]))


def occlusion_accuracy(
    predicted_visible: np.ndarray,
    true_visible: np.ndarray,
    *,
    query_frame: np.ndarray | int = 0,
    query_mode: Literal["first", "strided"] = "first",
) -> float:
    """Share of points and frames whose visibility is right; the mean over videos.

    Arguments and errors as `average_jaccard`.
    """
    called, truly = _visibilities(predicted_visible, true_visible)
    counts = _evaluated(truly.shape, query_frame, query_mode)
    right = ((called == truly) & counts).sum(axis=(-2, -1)) / counts.sum(axis=(-2, -1))
    return float(np.mean(right))


def tapvid(
    predicted: np.ndarray,
    true: np.ndarray,
    *,
    predicted_visible: np.ndarray,
    true_visible: np.ndarray,
    query_frame: np.ndarray | int = 0,
    query_mode: Literal["first", "strided"] = "first",
) -> dict[str, np.ndarray]:
    """All of TAP-Vid's figures per video: occlusion accuracy, points within and Jaccard by
    threshold, and their averages.

    Arguments and errors as `average_jaccard`.

    Returns:
        Name -> `[...]`, NaN for a video that has no visible point to count.
    """
    predicted, true = _pair(predicted, true)
    called, truly = _visibilities(predicted_visible, true_visible)
    if truly.shape != true.shape[:-1]:
        raise InputError(f"visibility of shape {truly.shape} for tracks of shape {true.shape}")
    counts = _evaluated(truly.shape, query_frame, query_mode)
    squared = np.square(predicted - true).sum(axis=-1)
    over = (-2, -1)
    positives = (truly & counts).sum(axis=over)
    figures: dict[str, Any] = {
        "occlusion_accuracy": ((called == truly) & counts).sum(axis=over) / counts.sum(axis=over)
    }
    within, jaccard = [], []
    with np.errstate(invalid="ignore", divide="ignore"):
        for threshold in THRESHOLDS:
            near = squared < threshold**2
            within.append((near & truly & counts).sum(axis=over) / positives)
            hits = (near & truly & called & counts).sum(axis=over)
            false = (called & ~(truly & near) & counts).sum(axis=over)
            jaccard.append(hits / (positives + false))
            figures[f"pts_within_{threshold:g}"] = within[-1]
            figures[f"jaccard_{threshold:g}"] = jaccard[-1]
    figures["average_pts_within_thresh"] = np.mean(within, axis=0)
    figures["average_jaccard"] = np.mean(jaccard, axis=0)
    return figures


def smoothness(points: np.ndarray) -> float:
    """1 less the mean length of the change of velocity, per frame, over points and T - 2 steps.

    1 is constant velocity; there is no lower bound. Lang2Motion's formula divides the sum of T - 2
    changes by T - 1 and leaves unit and points open; here the mean is taken and the unit is that of
    normalised coordinates.

    Args:
        points: `[..., T, N, 2]`, normalised to [-1, 1], at least 3 frames.

    Raises:
        InputError: a wrong shape, too few frames, or values that are not finite.
    """
    points = _tracks("points", points, min_frames=3)
    return float(1.0 - np.linalg.norm(np.diff(points, n=2, axis=-3), axis=-1).mean())


def _displacements(
    predicted: np.ndarray, true: np.ndarray, visible: np.ndarray | None, best_of: bool, norm: Norm
) -> tuple[np.ndarray, np.ndarray]:
    """Distances `[..., (K,) T, N or 1]` and which of them count."""
    if best_of:
        true = np.expand_dims(np.asarray(true), -4)
        visible = None if visible is None else np.expand_dims(np.asarray(visible), -3)
    predicted, true = _pair(predicted, true, samples=best_of)
    shape = true.shape[:-1]
    counts = np.asarray(np.ones(shape) if visible is None else visible, bool)
    if counts.shape != shape:
        raise InputError(f"visibility of shape {counts.shape}; {shape} is needed")
    difference = predicted - true
    if norm == "point":
        errors = np.linalg.norm(difference, axis=-1)
    elif norm == "frame":
        difference = np.where(counts[..., None], difference, 0.0)
        errors = np.sqrt(np.square(difference).sum(axis=(-2, -1)))[..., None]
        counts = np.any(counts, axis=-1, keepdims=True)
    else:
        raise InputError(f"norm {norm!r}; allowed: point, frame")
    return errors, np.broadcast_to(counts, errors.shape)


def _mean_of_best(
    errors: np.ndarray, counts: np.ndarray, over: tuple[int, int], best_of: bool
) -> float:
    number = counts.sum(axis=over)
    if not number.any():
        raise InputError("no point of these tracks is visible")
    means = np.where(counts, errors, 0.0).sum(axis=over) / np.maximum(number, 1)
    if best_of:
        means, number = means.min(axis=-1), number[..., 0]
    return float(means[number > 0].mean())


def _evaluated(shape: tuple[int, ...], query: np.ndarray | int, mode: str) -> np.ndarray:
    """`[..., T, N]` bool: the frames that count for each point."""
    frames = np.arange(shape[-2])[:, None]
    query = np.asarray(query)[..., None, :] if np.ndim(query) else np.asarray(query)
    if mode not in ("first", "strided"):
        raise InputError(f"query_mode {mode!r}; allowed: first, strided")
    counts = frames > query if mode == "first" else frames != query
    return np.broadcast_to(counts, shape)


def _visibilities(predicted: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    predicted, true = np.asarray(predicted, bool), np.asarray(true, bool)
    if predicted.shape != true.shape or true.ndim < 2 or true.shape[-2] < 2:
        raise InputError(
            f"visibility of shapes {predicted.shape} and {true.shape}; equal shapes "
            "[..., T, N] with at least 2 frames are needed"
        )
    return predicted, true


def _tracks(name: str, points: np.ndarray, min_frames: int = 1) -> np.ndarray:
    points = np.asarray(points, np.float64)
    if points.ndim < 3 or points.shape[-1] != 2 or points.shape[-3] < min_frames or not points.size:
        raise InputError(
            f"{name} of shape {points.shape}; [..., T, N, 2] with at least {min_frames} frames "
            "is needed"
        )
    if not np.isfinite(points).all():
        raise InputError(f"{name}: values that are not finite")
    return points


def _pair(
    predicted: np.ndarray, true: np.ndarray, *, samples: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    predicted, true = _tracks("predicted", predicted), _tracks("true", true)
    fits = predicted.shape == true.shape
    if samples:
        fits = predicted.ndim == true.ndim and all(
            p == t
            for i, (p, t) in enumerate(zip(predicted.shape[::-1], true.shape[::-1]))
            if i != 3
        )
    if not fits:
        raise InputError(f"predicted of shape {predicted.shape}, true of shape {true.shape}")
    return predicted, true
