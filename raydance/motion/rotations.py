"""Rotations as unit quaternions (w, x, y, z), and forward kinematics.

All functions are vectorised over leading axes (`...`), work in float64 and rotate column vectors:
`multiply(a, b)` turns by `b` first and by `a` after it. Angles are radians unless a name or an
argument says degrees. A Euler order names the axes as a file lists them: `"zxy"` is the product
Rz Rx Ry (intrinsic), as the channels of a BVH file are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

IDENTITY = np.array([1.0, 0.0, 0.0, 0.0])
_AXES = {"x": 0, "y": 1, "z": 2}
_MOST_SWEEPS = 100
_SLACK = 0.02  # so that sweeps end


def normalise(quaternions: np.ndarray) -> np.ndarray:
    """Unit quaternions `[..., 4]` of the same direction; zero becomes the identity."""
    q = np.asarray(quaternions, dtype=np.float64)
    norm = length(q)
    return np.where(norm > 1e-12, q / np.maximum(norm, 1e-12), IDENTITY)


def length(vectors: np.ndarray) -> np.ndarray:
    """Lengths `[..., 1]` of vectors `[..., N]`; np.linalg.norm takes several times as long."""
    return np.sqrt(np.einsum("...i,...i->...", vectors, vectors))[..., None]


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors `[..., N]` made one long; zero stays zero."""
    return vectors / np.maximum(length(vectors), 1e-12)


def multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The product a b of quaternions `[..., 4]`: first the turn `b`, then `a`."""
    return _joined(_product(_components(a), _components(b)))


def _components(values: np.ndarray) -> list[np.ndarray]:
    """`[..., N]` -> N views `[...]`: np.moveaxis costs more than the arithmetic on small arrays."""
    values = np.asarray(values, dtype=np.float64)
    return [values[..., i] for i in range(values.shape[-1])]


def _joined(components: Sequence[np.ndarray]) -> np.ndarray:
    """N of `[...]` -> `[..., N]`; np.stack takes several times as long on small arrays."""
    result = np.empty((*components[0].shape, len(components)))
    for i, component in enumerate(components):
        result[..., i] = component
    return result


def _product(a: Iterable[np.ndarray], b: Iterable[np.ndarray]) -> tuple[np.ndarray, ...]:
    """`multiply` of components: w, x, y and z each an array of its own."""
    aw, ax, ay, az = a
    bw, bx, by, bz = b
    return (
        aw * bw - ax * bx - ay * by - az * bz,
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
    )


def conjugate(quaternions: np.ndarray) -> np.ndarray:
    """The inverse of unit quaternions `[..., 4]`."""
    return np.asarray(quaternions, dtype=np.float64) * np.array([1.0, -1.0, -1.0, -1.0])


def rotate(quaternions: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Vectors `[..., 3]` turned by unit quaternions `[..., 4]`."""
    return _joined(_turned(_components(quaternions), _components(vectors)))


def _turned(q: Iterable[np.ndarray], v: Iterable[np.ndarray]) -> tuple[np.ndarray, ...]:
    """`rotate` of components; np.cross takes several times as long."""
    w, x, y, z = q
    a, b, c = v
    i, j, k = 2.0 * (y * c - z * b), 2.0 * (z * a - x * c), 2.0 * (x * b - y * a)
    return a + w * i + y * k - z * j, b + w * j + z * i - x * k, c + w * k + x * j - y * i


def from_axis_angle(axis: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Quaternions `[..., 4]` that turn by `angle` `[...]` radians about unit `axis` `[..., 3]`."""
    half = 0.5 * np.asarray(angle, dtype=np.float64)[..., None]
    return np.concatenate((np.cos(half), np.sin(half) * np.asarray(axis)), axis=-1)


def from_rotation_vector(vectors: np.ndarray) -> np.ndarray:
    """Quaternions `[..., 4]` of rotation vectors `[..., 3]`: axis times angle in radians (SMPL)."""
    v = np.asarray(vectors, dtype=np.float64)
    angle = np.linalg.norm(v, axis=-1, keepdims=True)
    # np.sinc(x) is sin(pi x) / (pi x): well defined at zero, unlike sin(angle / 2) / angle.
    scale = 0.5 * np.sinc(angle / (2.0 * np.pi))
    return np.concatenate((np.cos(0.5 * angle), scale * v), axis=-1)


def to_rotation_vector(quaternions: np.ndarray) -> np.ndarray:
    """Rotation vectors `[..., 3]` (radians, at most pi long) of unit quaternions `[..., 4]`."""
    q = np.asarray(quaternions, dtype=np.float64)
    q = np.where(q[..., :1] < 0, -q, q)
    sine = length(q[..., 1:])
    angle = 2.0 * np.arctan2(sine, q[..., :1])
    return q[..., 1:] * np.where(sine > 1e-12, angle / np.maximum(sine, 1e-12), 2.0)


def from_euler(angles: np.ndarray, order: str, *, degrees: bool = False) -> np.ndarray:
    """Quaternions `[..., 4]` of Euler angles.

    Args:
        angles: `[..., len(order)]`, one angle per letter of `order`.
        order: any sequence of the letters x, y, z; `"zxy"` is Rz Rx Ry; `""` is no turn.
        degrees: whether `angles` are in degrees.
    """
    angles = np.asarray(angles, dtype=np.float64)
    assert angles.shape[-1] == len(order), (angles.shape, order)
    half = 0.5 * (np.deg2rad(angles) if degrees else angles)
    result = np.broadcast_to(IDENTITY, (*angles.shape[:-1], 4)).copy()
    for i, letter in enumerate(order.lower()):
        turn = np.zeros_like(result)
        turn[..., 0] = np.cos(half[..., i])
        turn[..., 1 + _AXES[letter]] = np.sin(half[..., i])
        result = turn if i == 0 else multiply(result, turn)
    return result


def to_euler(quaternions: np.ndarray, order: str, *, degrees: bool = False) -> np.ndarray:
    """Euler angles `[..., 3]` of unit quaternions `[..., 4]`, so that `from_euler` gives them back.

    Args:
        order: three different letters of x, y, z. The middle angle lies in [-90, 90] degrees; at
            its ends the last angle is 0 (the first takes the whole turn).
    """
    first, middle, last = (_AXES[letter] for letter in order.lower())
    assert {first, middle, last} == {0, 1, 2}, order
    sign = 1.0 if (first, middle, last) in ((0, 1, 2), (1, 2, 0), (2, 0, 1)) else -1.0
    m = to_matrix(quaternions)
    sine = np.clip(sign * m[..., first, last], -1.0, 1.0)
    cosine = np.hypot(m[..., first, first], m[..., first, middle])
    locked = cosine < 1e-9
    outer = np.arctan2(-sign * m[..., middle, last], m[..., last, last])
    inner = np.arctan2(-sign * m[..., first, middle], m[..., first, first])
    whole = np.arctan2(sign * m[..., last, middle], m[..., middle, middle])
    angles = np.stack(
        (np.where(locked, whole, outer), np.arctan2(sine, cosine), np.where(locked, 0.0, inner)),
        axis=-1,
    )
    return np.rad2deg(angles) if degrees else angles


def to_matrix(quaternions: np.ndarray) -> np.ndarray:
    """Rotation matrices `[..., 3, 3]` of unit quaternions `[..., 4]`."""
    w, x, y, z = _components(quaternions)
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
    return _joined([value for row in rows for value in row]).reshape(*w.shape, 3, 3)


def from_matrix(matrices: np.ndarray) -> np.ndarray:
    """Unit quaternions `[..., 4]` with w >= 0 of rotation matrices `[..., 3, 3]`."""
    m = np.asarray(matrices, dtype=np.float64)
    d0, d1, d2 = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    a, b, c = m[..., 2, 1], m[..., 0, 2], m[..., 1, 0]
    e, f, g = m[..., 1, 2], m[..., 2, 0], m[..., 0, 1]
    # Four forms of the same quaternion, each scaled by 4 times one of its parts; the one with the
    # largest part divides by no small number.
    forms = _joined(
        (
            *(1 + d0 + d1 + d2, a - e, b - f, c - g),
            *(a - e, 1 + d0 - d1 - d2, c + g, b + f),
            *(b - f, c + g, 1 - d0 + d1 - d2, a + e),
            *(c - g, b + f, a + e, 1 - d0 - d1 + d2),
        )
    ).reshape(*d0.shape, 4, 4)
    best = np.argmax(np.diagonal(forms, axis1=-2, axis2=-1), axis=-1)
    q = normalise(np.take_along_axis(forms, best[..., None, None], axis=-2)[..., 0, :])
    return np.where(q[..., :1] < 0, -q, q)


def to_six(quaternions: np.ndarray) -> np.ndarray:
    """The first two columns `[..., 6]` of the matrices of unit quaternions `[..., 4]` (Zhou et al.
    2019)."""
    columns = to_matrix(quaternions)[..., :2]
    return np.swapaxes(columns, -1, -2).reshape(*columns.shape[:-2], 6)


def from_six(columns: np.ndarray) -> np.ndarray:
    """Unit quaternions `[..., 4]` of the first two columns of matrices, `[..., 6]`.

    Columns that are no rotation's (of no length, or parallel) become some rotation.
    """
    columns = orthonormal_six(np.asarray(columns, dtype=np.float64))
    first, second = columns[..., :3], columns[..., 3:]
    return from_matrix(np.stack((first, second, cross(first, second)), axis=-1))


def orthonormal_six(columns: np.ndarray) -> np.ndarray:
    """Columns `[..., 6]` of rotations near averages of such columns; zeros stay."""
    first, second = unit(columns[..., :3]), columns[..., 3:]
    along = np.einsum("...i,...i->...", first, second)[..., None]
    return np.concatenate((first, unit(second - along * first)), axis=-1).astype(columns.dtype)


def between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The shortest turns `[..., 4]` that bring directions `a` `[..., 3]` onto `b` `[..., 3]`.

    Opposite directions turn half way about some axis across them; a zero direction gives the
    identity.
    """
    a, b = np.broadcast_arrays(np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64))
    a, b = unit(a), unit(b)
    cosine = np.sum(a * b, axis=-1, keepdims=True)
    turn = np.concatenate((1.0 + cosine, cross(a, b)), axis=-1)
    is_opposite = cosine <= -1.0 + 1e-9
    if is_opposite.any():
        # Across `a`: the axis along which it is shortest gives the best conditioned product.
        across = cross(a, np.eye(3)[np.argmin(np.abs(a), axis=-1)])
        half_way = np.concatenate((np.zeros_like(cosine), unit(across)), axis=-1)
        turn = np.where(is_opposite, half_way, turn)
    return normalise(turn)


def cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The cross product of vectors `[..., 3]`; np.cross takes several times as long."""
    i, j, k = _components(a)
    x, y, z = _components(b)
    return _joined((j * z - k * y, k * x - i * z, i * y - j * x))


def continuous(quaternions: np.ndarray) -> np.ndarray:
    """The same turns `[T, ..., 4]` with signs chosen so that successive frames stay close."""
    q = np.asarray(quaternions, dtype=np.float64)
    flips = np.sum(q[1:] * q[:-1], axis=-1, keepdims=True) < 0
    signs = np.cumprod(np.where(flips, -1.0, 1.0), axis=0)
    return np.concatenate((q[:1], q[1:] * signs), axis=0)


def slowed(directions: np.ndarray, most: float) -> np.ndarray:
    """Unit vectors `[T, ..., N]` that turn by at most `most` radians, below pi, between frames.

    Where they turn faster, both frames yield alike, and those around as far as it needs; the others
    stay as they are. Quaternions turn by twice the angle between them as vectors, once their signs
    are `continuous`.
    """
    result = np.asarray(directions, dtype=np.float64)
    for _ in range(_MOST_SWEEPS):
        cosine = np.sum(result[1:] * result[:-1], axis=-1)
        places = np.nonzero(cosine < np.cos(most))
        if not len(places[0]):
            break
        if result is directions:
            result = result.copy()
        after = (places[0] + 1, *places[1:])
        a, b = result[places], result[after]
        # The part of `b` across `a`, and where that vanishes, any direction across.
        across = b - cosine[places][:, None] * a
        any_across = np.eye(a.shape[-1])[np.argmin(np.abs(a), axis=-1)]
        any_across -= np.sum(any_across * a, axis=-1, keepdims=True) * a
        across = unit(np.where(length(across) > 1e-6, across, any_across))
        angle = np.arccos(np.clip(cosine[places], -1.0, 1.0))
        share = 0.5 * (angle - (1.0 - _SLACK) * most)[:, None]
        total, count = np.zeros_like(result), np.zeros(result.shape[:-1])
        for place, turned in ((places, share), (after, angle[:, None] - share)):
            total[place] += np.cos(turned) * a + np.sin(turned) * across
            count[place] += 1.0
        result = np.where(count[..., None] > 0.0, unit(total), result)
    return result


def forward_kinematics(
    rotations: np.ndarray, translations: np.ndarray, parents: Sequence[int]
) -> np.ndarray:
    """Global joint positions of a tree of joints.

    Args:
        rotations: `[T, J, 4]` unit quaternions, local to the parent.
        translations: `[T, J, 3]` (or anything that broadcasts to it, such as `[J, 3]` offsets):
            each joint's place in its parent's frame; the root's is its place in the world.
        parents: J indices, -1 for a root; a parent precedes its children.

    Returns:
        Positions `[T, J, 3]`, float64, in the unit of `translations`.
    """
    return global_transforms(rotations, translations, parents)[1]


def global_transforms(
    rotations: np.ndarray, translations: np.ndarray, parents: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Global rotations `[T, J, 4]` and positions `[T, J, 3]`; see `forward_kinematics`."""
    num_frames, num_joints = rotations.shape[:2]
    assert len(parents) == num_joints and all(p < i for i, p in enumerate(parents))
    # Components first and frames last, `[4, J, T]`: every operation runs over contiguous memory.
    turns = np.array(np.transpose(rotations, (2, 1, 0)), dtype=np.float64, order="C")
    places = np.broadcast_to(translations, (num_frames, num_joints, 3))
    places = np.array(np.transpose(places, (2, 1, 0)), dtype=np.float64, order="C")
    # Joints of one depth depend only on shallower ones, so each depth is one vectorised step.
    depths = np.zeros(num_joints, dtype=np.int64)
    for joint, parent in enumerate(parents):
        depths[joint] = 0 if parent < 0 else depths[parent] + 1
    above = np.asarray(parents)
    for depth in range(1, int(depths.max(initial=0)) + 1):
        here = np.flatnonzero(depths == depth)
        turn = turns[:, above[here]]
        places[:, here] = places[:, above[here]] + np.stack(_turned(turn, places[:, here]))
        turns[:, here] = np.stack(_product(turn, turns[:, here]))
    return np.transpose(turns, (2, 1, 0)), np.transpose(places, (2, 1, 0))
