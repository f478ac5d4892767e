"""Sentences about the procedural dancer's clips.

A template holds alternatives `[a|b|c]` and slots: `{who}` the dancer, `{adv}` how fast (may be
empty), `{size}` how large (may be empty), `{side}` left or right, `{other}` the other one. The
words left and right appear nowhere else than in these slots, and mean the dancer's own sides.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import numpy as np

_WHO: Final = ("a person", "a dancer", "someone", "the dancer", "the person", "the performer")
_TEMPO: Final = {
    "slow": ("slowly", "at a slow tempo", "in a slow rhythm", "unhurriedly"),
    "medium": ("", "", "at a steady pace", "at a moderate tempo"),
    "fast": ("quickly", "fast", "at a fast tempo", "in a rapid rhythm"),
}
_SIZE: Final = {
    "small": ("small", "modest", "narrow"),
    "medium": ("",),
    "large": ("large", "big", "wide"),
}

ONE_SIDED: Final[Mapping[str, tuple[str, ...]]] = {
    "arm_circle": (
        "{who} [draws|traces|makes] {size} circles with the {side} arm {adv}",
        "the {side} arm [circles|swings round|goes round] smoothly {adv}",
        "{who} [rotates|circles] the {side} arm in {size} [loops|rounds] {adv}",
        "{size} flowing arm circles on the {side} side {adv}",
        "{who} [stands and|stays in place and] lets the {side} arm [wheel|turn] {adv}",
        "smooth {size} circling of the {side} arm {adv}",
        "with the {side} arm {who} [paints|describes] a {size} circle [in the air|beside the body]",
    ),
    "spiral_turn": (
        "{who} [turns|spins|rotates] to the {side} [in a spiral|while sinking and rising] {adv}",
        "a [spiralling|flowing] turn to the {side} {adv}",
        "{who} [whirls|revolves] to the {side} on the spot with [open|soft] arms {adv}",
        "[turning|spinning|twirling] {side} with small steps, [the arms open|arms floating] {adv}",
        "{who} spirals [down and up|up and down] while turning {side} {adv}",
        "[smooth|continuous] turns to the {side} [on the spot|in place] {adv}",
    ),
    "side_reach": (
        "{who} [reaches|stretches] the {side} arm over the head and bends to the {other} {adv}",
        "the {side} arm [sweeps|floats|arcs] overhead while the body leans {other} {adv}",
        "a [long|soft|flowing] side bend to the {other} with the {side} arm overhead {adv}",
        "{who} bends sideways to the {other}, [reaching over|arching over] with the {side} arm",
        "{adv} {who} [curves|leans] the trunk to the {other}, {side} arm [raised|up high]",
        "[smooth|gentle] overhead reaches with the {side} arm {adv}",
    ),
    "punch": (
        "{who} [punches|hits|strikes] forward with the {side} [hand|fist|arm] {adv}",
        "a [sharp|hard|straight] punch with the {side} [fist|hand|arm] {adv}",
        "{who} [throws|lands|fires] {side} punches [out of a guard|like a boxer] {adv}",
        "[boxing|striking] with the {side} [fist|hand] {adv}",
        "the {side} fist [shoots|snaps|jabs] forward and [stops|comes back] {adv}",
        "{who} [jabs|strikes out] repeatedly with the {side} [arm|fist] {adv}",
    ),
    "high_kick": (
        "{who} [kicks|throws] the {side} leg [up high|high to the front] {adv}",
        "a high [front |straight ]kick with the {side} leg {adv}",
        "{who} [does|performs] high kicks with the {side} [leg|foot] {adv}",
        "the {side} leg [shoots|snaps|flies] up straight in front {adv}",
        "{who} stands on the {other} leg and kicks the {side} one [upward|into the air] {adv}",
        "[sharp|explosive] {side} leg kicks [to the front|forward and up] {adv}",
    ),
    "robot_arms": (
        "{who} [moves|jerks|snaps] the {side} arm like a robot {adv}",
        "[mechanical|angular|robotic] poses of the {side} arm {adv}",
        "the {side} arm [clicks|ticks] from one square pose to the next {adv}",
        "{who} [does the robot|dances like a machine] with the {side} arm {adv}",
        "[stiff|sharp] robot movements of the {side} arm, [freezing|stopping] between them {adv}",
        "the {side} arm [locks|freezes] in [square|angular] positions {adv}",
    ),
    "lunge": (
        "{who} lunges forward [onto|with] the {side} leg and [stops|freezes|holds] {adv}",
        "a [sharp|sudden|angular] {size} lunge with the {side} foot in front {adv}",
        "{who} [shoots|strikes|jumps] into a lunge, {side} leg forward {adv}",
        "{side} leg lunges with a [hard|dead] stop {adv}",
        "the {side} foot [thrusts|darts] forward into a {size} lunge and [goes|comes] back {adv}",
        "{who} steps [sharply|abruptly] into a {size} {side} lunge {adv}",
    ),
    "stomp": (
        "{who} [stomps|stamps] with the {side} foot {adv}",
        "[heavy|hard|grounded] stomps of the {side} [foot|leg] {adv}",
        "{who} lifts the {side} knee and [drives|slams] the foot into the floor {adv}",
        "the {side} foot [stamps|pounds] on the ground {adv}",
        "[stamping|stomping] on the spot with the {side} [foot|leg] {adv}",
        "{who} raises the {side} leg and brings it down [heavily|with weight] {adv}",
    ),
    "low_sweep": (
        "{who} sweeps the {side} leg along the floor [in a low position|while crouching] {adv}",
        "a low {size} sweep of the {side} leg {adv}",
        "[crouched|sunk low] on the {other} leg, {who} [sweeps|swings] the {side} foot round {adv}",
        "the {side} leg [brushes|slides|glides] in an arc [along|over] the ground {adv}",
        "{size} floor sweeps with the {side} [leg|foot] {adv}",
        "{who} stays low and [draws|traces] an arc on the floor with the {side} foot {adv}",
    ),
}
"""Movement -> templates for clips in which one side leads."""

TWO_SIDED: Final[Mapping[str, tuple[str, ...]]] = {
    "arm_circle": (
        "{who} [draws|makes|traces] {size} circles with both arms {adv}",
        "both arms [circle|wheel|go round] smoothly {adv}",
        "{who} [rotates|circles] the arms in {size} [loops|rounds] {adv}",
        "{size} flowing arm circles with both arms {adv}",
        "[smooth|continuous] {size} circling of the arms {adv}",
        "{who} [stands and|stays in place and] lets both arms [turn|wheel] {adv}",
    ),
    "body_wave": (
        "{who} [does|performs|makes] a {size} body wave {adv}",
        "a {size} wave [runs|rolls|travels] through the [body|spine] {adv}",
        "{who} [ripples|undulates|rolls] the spine from the hips to the head {adv}",
        "[flowing|smooth|liquid] undulations of the whole body {adv}",
        "the [chest and hips roll|spine rolls|torso moves] like a {size} wave {adv}",
        "[snake-like|wave-like] rolling of the torso {adv}",
    ),
    "hip_circle": (
        "{who} [circles|rotates|rolls] the hips {adv}",
        "{size} hip circles with the hands on the hips {adv}",
        "the [hips draw|hips make|pelvis draws] {size} circles over still feet {adv}",
        "{who} [moves|swings] the hips round and round {adv}",
        "[smooth|flowing] {size} circles of the pelvis {adv}",
        "hands on hips, {who} [makes|draws] {size} hip circles {adv}",
    ),
    "waltz_sway": (
        "{who} [sways|waltzes] from side to side [with rounded arms|as in a waltz] {adv}",
        "a [flowing|gentle|soft] waltz sway with {size} side steps {adv}",
        "{who} steps to the side, closes and steps back, [swaying|flowing] {adv}",
        "[ballroom|waltz] steps from side to side, the arms [held round|open] {adv}",
        "{who} [glides|rocks|floats] sideways and back in a waltz {adv}",
        "swaying sideways like a [ballroom|waltz] dancer {adv}",
    ),
    "side_reach": (
        "{who} [reaches|stretches] over the head with one arm and then the other {adv}",
        "[alternating|flowing] side bends with the arm overhead {adv}",
        "{who} bends to one side and the other, [arms arching|reaching] over the head {adv}",
        "the arms [sweep|float] overhead in turn while the body [leans|curves] sideways {adv}",
        "[soft|long] overhead reaches to both sides {adv}",
        "{who} [sways|curves] the trunk from side to side with [raised|reaching] arms {adv}",
    ),
    "punch": (
        "{who} [punches|hits|strikes] forward with alternating fists {adv}",
        "[sharp|straight|hard] punches with both hands in turn {adv}",
        "{who} boxes [into the air|with both fists] {adv}",
        "both fists [shoot|snap|jab] forward one after the other {adv}",
        "{who} [throws|fires] punches [like a boxer|out of a guard] with both arms {adv}",
        "[shadow boxing|alternating jabs] {adv}",
    ),
    "robot_arms": (
        "{who} [moves|dances] like a robot with both arms {adv}",
        "[mechanical|angular|robotic] arm poses with [sharp|dead] stops {adv}",
        "both arms [click|snap|jerk] from one square pose to the next {adv}",
        "{who} does the robot dance {adv}",
        "[stiff|square] robot arms, [freezing|stopping] between the poses {adv}",
        "the arms [lock|freeze] in angular positions like a machine {adv}",
    ),
    "head_snap": (
        "{who} [snaps|jerks|whips] the head [from side to side|in different directions] {adv}",
        "[sharp|sudden|abrupt] head turns {adv}",
        "the head [clicks|snaps] round and stops dead {adv}",
        "{who} stands still and [throws|turns] the head [sharply|abruptly] {adv}",
        "[isolated|staccato] head movements while the body is still {adv}",
        "{who} looks [sharply|suddenly] to one side and the other {adv}",
    ),
    "jump": (
        "{who} [jumps|leaps|hops] [straight up|into the air] {adv}",
        "{size} [explosive|vertical] jumps with the arms thrown up {adv}",
        "{who} crouches and [jumps|springs|leaps] up, raising both arms {adv}",
        "[jumping|leaping] on the spot with a sharp landing {adv}",
        "a {size} [leap|jump] upward, arms high, and a [hard|dead] stop {adv}",
        "{who} [bounces|springs] up off both feet {adv}",
    ),
    "squat": (
        "{who} [squats|sinks into a squat] and comes up again {adv}",
        "[deep|heavy|wide-legged] squats with the arms in front {adv}",
        "{who} bends both knees [low|deep] and [rises|stands up] {adv}",
        "[squatting|sinking] down with wide feet and rising {adv}",
        "{who} lowers the hips [towards the floor|in a wide stance] {adv}",
        "the knees bend into a {size} squat and [stretch|straighten] {adv}",
    ),
    "weight_shift": (
        "{who} shifts the weight from one leg to the other {adv}",
        "[low|grounded|heavy] weight shifts from side to side {adv}",
        "in a wide [low|bent] stance {who} [rocks|moves] from foot to foot {adv}",
        "{who} [rocks|sinks] from one bent leg onto the other {adv}",
        "the hips travel from side to side over [bent knees|planted feet] {adv}",
        "shifting weight [sideways|from foot to foot] in a [deep|wide] stance {adv}",
    ),
    "walk": (
        "{who} walks forward {adv}",
        "[a heavy|a grounded|a low] walk with {size} steps {adv}",
        "{who} [strides|paces|marches] ahead {adv}",
        "[walking|stepping] forward with bent knees and swinging arms {adv}",
        "{who} takes {size} steps forward {adv}",
        "[walking|pacing] through the room {adv}",
    ),
    "stomp": (
        "{who} [stomps|stamps] with both feet in turn {adv}",
        "[heavy|hard|grounded] alternating stomps {adv}",
        "{who} lifts the knees and [slams|drives] the feet into the floor {adv}",
        "both feet [stamp|pound] on the ground one after the other {adv}",
        "[stamping|stomping] on the spot from foot to foot {adv}",
        "{who} marches [heavily|with weight] on the spot {adv}",
    ),
    "crouch_rise": (
        "{who} [crouches|folds] down and rises again {adv}",
        "[sinking|folding] into a deep crouch and [standing|getting] up {adv}",
        "{who} goes down to the floor [with a round back|on the haunches] and up {adv}",
        "a deep [heavy|grounded] crouch, hands towards the floor, then [a rise|standing up] {adv}",
        "{who} [curls up|huddles] low on the ground and unfolds {adv}",
        "[down to a crouch|into a ball] and up to standing {adv}",
    ),
}
"""Movement -> templates for clips in which both sides take part, or none leads."""


def captions(
    movement: str, side: str, tempo: str, size: str, rng: np.random.Generator
) -> tuple[str, ...]:
    """Two or three different sentences about a clip.

    Args:
        side: `left`, `right` or `both`.
        tempo: `slow`, `medium` or `fast`.
        size: `small`, `medium` or `large`.
        rng: chooses templates and words.
    """
    templates = (TWO_SIDED if side == "both" else ONE_SIDED)[movement]
    chosen = rng.permutation(len(templates))[: rng.integers(2, 4)]
    sentences = []
    for i in chosen:
        words = {
            "who": str(rng.choice(_WHO)),
            "adv": str(rng.choice(_TEMPO[tempo])),
            "size": str(rng.choice(_SIZE[size])) if rng.uniform() < 0.7 else "",
            "side": side,
            "other": {"left": "right", "right": "left"}.get(side, ""),
        }
        text = re.sub(r"\[([^\]]*)\]", lambda m: str(rng.choice(m[1].split("|"))), templates[i])
        text = " ".join(text.format(**words).split()).replace(" ,", ",")
        text = re.sub(r"\ba (?=[aeiou])", "an ", text)
        sentences.append(text.strip())
    return tuple(sentences)
