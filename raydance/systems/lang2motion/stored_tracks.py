"""The tracks behind a run's library: from its dataset, where that is at hand.

A run holds points of its tracks in the space of sentences, not the tracks.
"""

from __future__ import annotations

import numpy as np

from raydance.data.dataset import SPLITS, Dataset
from raydance.errors import ArtifactError, InputError
from raydance.systems.tasks import TracksAnswer
from raydance.tracks.track import to_pixels
from raydance.training.run_folder import Run


def stored_tracks(run: Run, window_id: str) -> TracksAnswer:
    """A track of the library, resampled as it was learned from.

    Raises:
        InputError: no such track, or a dataset that is not here or has changed.
    """
    facts = run.facts["dataset"]
    try:
        dataset = Dataset.open(facts["path"])
    except ArtifactError:
        dataset = None
    if dataset is None or dataset.manifest_hash != facts["hash"]:
        raise InputError("the tracks of this run's library are not on this machine")
    for split in SPLITS:
        for shard in dataset.shards(split):
            names = dataset.read_shard(shard, ["window_id"])["window_id"]
            if window_id not in names:
                continue
            row = names.index(window_id)
            found = dataset.read_shard(
                shard, ["tracks", "visible", "frame_size", "end_s", "captions"]
            )
            width, height = (round(float(side)) for side in found["frame_size"][row])
            tracks = np.asarray(found["tracks"][row])
            return TracksAnswer(
                points=to_pixels(tracks, (width, height))[None],
                visible=np.asarray(found["visible"][row])[None],
                frame_size=(width, height),
                fps=(len(tracks) - 1) / float(found["end_s"][row]),
                facts={"id": window_id, "captions": list(found["captions"][row])},
            )
    raise InputError(f"no track {window_id[:100]!r} in this run's library")
