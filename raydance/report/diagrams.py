"""Block diagrams of the pipeline and its networks, with the sizes that a run was configured with.

Figures 1, 2 and 5-8 of the paper and one of the motion flow, drawn from the configuration, so that
they cannot disagree with what was trained.
"""

from __future__ import annotations

from typing import Final

from raydance.report.block_diagram import Box, draw
from raydance.systems.dance_language.config import DanceLanguageConfig


def pipeline(
    config: DanceLanguageConfig,
    num_clusters: int,
    text_name: str,
    text_dim: int,
    num_components: int,
) -> str:
    """Fig. 1, with the motion basis and the motion flow, which the paper has not."""
    vae, space = config.motion_vae, config.contrastive
    clusters = config.clusters.space
    boxes = [
        Box(
            "windows",
            (0, 0),
            "Windows",
            (f"{vae.num_frames} x {vae.num_joints} x 3", "normalised, augmented"),
            "data",
        ),
        Box("vae", (2, 0), "Motion VAE", (f"latent {vae.latent}",)),
        Box("clusters", (3, 0), "Clusters", (f"K = {num_clusters}", f"of {_CLUSTERED[clusters]}")),
        Box("words", (4, 0), "Captions", ("of the clip, else", "of its cluster"), "data"),
        Box("sentence", (0, 2), "Frozen text model", (text_name, f"{text_dim} values"), "frozen"),
        Box("text", (2, 2), "Text encoder", (f"{text_dim} to {vae.latent}",)),
        Box("space", (2, 1), "Contrastive space", (space.loss, f"{space.outputs} values")),
        Box("m2t", (3, 1), "Motion to text", ("nearest captions",)),
        Box("t2m", (3, 2), "Text to motion", (f"source: {config.text_to_motion.source}",)),
        Box("out_text", (4, 1), "Description", (), "data"),
        Box("out_motion", (4, 2), "New motion", (f"{vae.num_frames} frames",), "data"),
    ]
    edges = [
        ("clusters", "words"),
        ("space", "m2t"),
        ("m2t", "out_text"),
        ("sentence", "text"),
        ("text", "t2m"),
        ("t2m", "out_motion"),
        ("text" if space.text_input == "latent" else "sentence", "space"),
        ("vae", "clusters"),
    ]
    uses = _uses_of_basis(config)
    if uses:
        boxes.append(
            Box("basis", (1, 0), "Motion basis", (f"{num_components} coefficients",), "frozen")
        )
        edges += [("windows", "basis"), *(("basis", use) for use in uses)]
    if "vae" not in uses:
        # Beside the basis, which stands in between where it is drawn.
        edges.append(("windows", "vae"))
    if space.motion_input == "latent":
        edges.append(("vae", "space"))
    if space.motion_input in ("both", "frames", "windows"):
        edges.append(("windows", "space"))
    if config.motion_flow.enabled:
        boxes.append(Box("flow", (3, 3), "Motion flow", (f"{config.motion_flow.steps} steps",)))
        edges += [("sentence", "flow"), ("flow", "out_motion")]
    return draw(boxes, edges)


_CLUSTERED: Final = {
    "descriptors": "descriptors",
    "coefficients": "coefficients",
    "latent": "latents",
}


def _uses_of_basis(config: DanceLanguageConfig) -> list[str]:
    """Which blocks of the pipeline read the motion basis."""
    uses = {
        "vae": config.motion_vae.basis,
        "space": config.contrastive.motion_input in ("both", "basis"),
        "flow": config.motion_flow.enabled,
    }
    return [name for name, reads in uses.items() if reads]


def motion_vae(config: DanceLanguageConfig, num_components: int) -> str:
    """Fig. 2."""
    vae = config.motion_vae
    frames, flat = vae.num_frames, 3 * vae.num_joints
    encoder = {"lstm": "LSTM", "gru": "GRU", "conv2d": "2-D convolution"}[vae.encoder]
    # The basis leads around the recurrent layers.
    known = min(num_components, vae.latent)
    around = (f"+ basis, {known} coefficients",) if vae.basis else ()
    into = around if vae.encoder != "conv2d" else ()
    boxes = [
        Box("x", (0, 0), "Motion", (f"{frames} x {vae.num_joints} x 3",), "data"),
        Box("flat", (1, 0), "Linear", (f"{flat} to {vae.hidden}",)),
        Box("rec", (2, 0), encoder, (f"{vae.hidden}, {vae.num_layers} layer(s)",)),
        Box("att", (3, 0), "Attention over time", (f"{frames} weights, sum 1",)),
        Box("mu", (4, 0), "Mean, log-variance", (f"{vae.hidden} to 2 x {vae.latent}", *into)),
        Box("z", (4, 1), "Latent", (f"z = mu + eps sigma, {vae.latent}",), "data"),
        Box("lin", (3, 1), "Linear", (f"{vae.latent} to {vae.hidden}, repeated",)),
        Box("dec", (2, 1), vae.decoder.upper(), (f"{vae.hidden}, {vae.num_layers} layer(s)",)),
        Box("out", (1, 1), "Linear", (f"{vae.hidden} to {flat}", *around)),
        Box("y", (0, 1), "Reconstruction", (f"{frames} x {vae.num_joints} x 3",), "data"),
        Box(
            "loss",
            (0, 2),
            "Loss, eq. 8",
            (
                f"{vae.mse_weight:g} MSE + {1 - vae.mse_weight:g} L1",
                f"+ {vae.velocity_weight:g} vel + beta KL",
            ),
            "loss",
        ),
        Box(
            "beta",
            (1, 2),
            "beta",
            (f"{vae.beta_start:g} to {vae.beta_end:g}, {vae.beta_shape}",),
            "loss",
        ),
    ]
    names = ["x", "flat", "rec", "att", "mu", "z", "lin", "dec", "out", "y", "loss"]
    if vae.encoder == "conv2d":
        boxes = [b for b in boxes if b.name not in ("flat", "att")]
        names = [n for n in names if n not in ("flat", "att")]
    return draw(boxes, [*zip(names, names[1:]), ("beta", "loss")])


def text_encoder(config: DanceLanguageConfig, text_name: str, text_dim: int) -> str:
    """Fig. 5."""
    stage = config.text_encoder
    relu = "ReLU" if stage.final_relu else "no ReLU"
    boxes = [
        Box("words", (0, 0), "Sentence", (), "data"),
        Box("model", (1, 0), "Text model", (text_name, f"{text_dim} values"), "frozen"),
        Box("a", (2, 0), "Linear, ReLU", (f"{text_dim} to {stage.hidden}",)),
        Box("b", (3, 0), f"Linear, {relu}", (f"{stage.hidden} to {stage.latent}",)),
        Box("norm", (4, 0), "LayerNorm", (f"z_text, {stage.latent}",)),
        Box("dance", (3, 1), "Motion latent", ("posterior mean",), "data"),
        Box(
            "loss",
            (4, 1),
            "Loss, eq. 12",
            (f"{stage.alpha:g} (1 - cos)", f"+ {1 - stage.alpha:g} MSE ({stage.mse_reduction})"),
            "loss",
        ),
    ]
    names = ["words", "model", "a", "b", "norm", "loss"]
    return draw(boxes, [*zip(names, names[1:]), ("dance", "loss")])


def contrastive(config: DanceLanguageConfig, text_dim: int, num_components: int) -> str:
    """Fig. 6."""
    stage, latent = config.contrastive, config.motion_vae.latent
    kind = stage.motion_input
    text_in = latent if stage.text_input == "latent" else text_dim
    text_head = f"{text_in}-{stage.width}-{stage.width}-{stage.outputs}"
    if stage.text_head == "linear":
        text_head = f"{text_in}-{stage.outputs}"
    detail: tuple[str, ...] = {
        "infonce": ("InfoNCE", f"temperature {stage.temperature:g}"),
        "supcon": ("SupCon over clusters", f"temperature {stage.temperature:g}"),
        "simclr": ("NT-Xent (SimCLR)", f"temperature {stage.temperature:g}"),
        "moco": (
            "InfoNCE (MoCo)",
            f"temperature {stage.temperature:g}",
            f"queue {stage.queue}",
        ),
        "triplet": ("Triplet, eq. 14", f"margin {stage.margin:g}, {stage.distance}"),
    }[stage.loss]
    boxes = [Box("m", (0, 0), "Motion latents" if kind == "latent" else "Windows", (), "data")]
    edges: list[tuple[str, str]] = []
    if kind in ("windows", "latent"):
        trains = kind == "windows"
        words = "from the VAE's, trained on" if trains else "the VAE's, frozen"
        boxes.append(
            Box("e", (1, 0), "Motion encoder", (words,), "trained" if trains else "frozen")
        )
        edges += [("m", "e"), ("e", "hm")]
    if kind in ("both", "frames"):
        boxes.append(Box("f", (1, 0), "Convolutions", ("over time", f"{stage.channels} channels")))
        edges += [("m", "f"), ("f", "hm")]
    if kind in ("both", "basis"):
        row = 1 if kind == "both" else 0
        words = f"{num_components}-{2 * stage.width}-{2 * stage.width}-{stage.width}"
        boxes.append(Box("c", (1, row), "Basis coefficients", (words,)))
        edges += [("m", "c"), ("c", "hm")]
    inputs = {"windows": latent, "latent": latent, "both": 2 * stage.width}.get(kind, stage.width)
    last = 2 if kind == "both" else 1
    boxes += [
        Box(
            "hm", (2, 0), "Motion head", (f"{inputs}-{stage.width}-{stage.width}-{stage.outputs}",)
        ),
        Box(
            "t",
            (0, last),
            "Captions",
            ("eq. 11's latents" if stage.text_input == "latent" else "sentence embeddings",),
            "data",
        ),
        Box("ht", (2, last), "Text head", (text_head,)),
        Box("loss", (3, last / 2), detail[0], detail[1:], "loss"),
    ]
    return draw(boxes, [*edges, ("t", "ht"), ("hm", "loss"), ("ht", "loss")])


def motion_to_text(config: DanceLanguageConfig, text_dim: int, num_captions: int) -> str:
    """Fig. 7."""
    stage = config.motion_to_text
    reads_latent = stage.motion_input == "latent"
    inputs = config.motion_vae.latent if reads_latent else config.contrastive.outputs
    shared = stage.ranking == "shared"
    boxes = [
        Box(
            "m",
            (0, 0),
            "Motion latent" if reads_latent else "Motion embedding",
            (f"{inputs} values",),
            "data",
        ),
        Box("a", (1, 0), "Linear, ReLU", (f"{inputs} to {stage.hidden}",)),
        Box("d", (2, 0), "Dropout", (f"{stage.dropout:g}",)),
        Box("b", (3, 0), "Linear, LayerNorm", (f"{stage.hidden} to {text_dim}",)),
        Box("cos", (4, 1 if shared else 0), "Cosine, top k", ("eq. 16",)),
        Box(
            "base",
            (3, 1),
            "Caption base",
            (f"{num_captions} captions", "in the shared space" if shared else "embedded once"),
            "frozen",
        ),
        Box(
            "check", (4, 2 if shared else 1), "Cluster check", (stage.cluster_verification,), "loss"
        ),
    ]
    names = ["m", "a", "d", "b"] if shared else ["m", "a", "d", "b", "cos", "check"]
    edges = [*zip(names, names[1:]), ("base", "cos")]
    if shared:  # what the projection learns ranks with `ranking=sentences` alone
        boxes.append(Box("p", (0, 2), "Motion embedding", ("in the shared space",), "data"))
        edges += [("p", "cos"), ("cos", "check")]
    return draw(boxes, edges)


def motion_flow(config: DanceLanguageConfig, text_dim: int, num_components: int) -> str:
    """The flow, which is not in the paper."""
    stage, vae = config.motion_flow, config.motion_vae
    width = stage.width
    boxes = [
        Box("z", (0, 0), "Noise to motion", (f"z_t, {num_components} values",), "data"),
        Box("wanted", (0, 1), "Wanted frames", ("least-norm coefficients",), "data"),
        Box("text", (0, 2), "Sentence", (f"{text_dim} values, t",), "data"),
        Box("in", (1, 0), "Linear", (f"{num_components} to {width}",)),
        Box("cond", (1, 2), "Condition", (f"{text_dim} to {width}",)),
        Box(
            "blocks",
            (2, 1),
            f"{stage.num_blocks} residual blocks",
            (f"{width}-{stage.expansion * width}-{width}", "scaled and shifted"),
        ),
        Box("out", (3, 1), "Clean coefficients", (f"{num_components} values",)),
        Box("loss", (3, 0), "Squared error", ("by importance",), "loss"),
        Box(
            "motion",
            (4, 1),
            "Motion",
            (
                f"{vae.num_frames} x {vae.num_joints} x 3",
                f"{stage.steps} steps, guidance {stage.guidance:g}",
            ),
            "data",
        ),
    ]
    edges = [
        ("z", "in"),
        ("wanted", "blocks"),
        ("in", "blocks"),
        ("text", "cond"),
        ("cond", "blocks"),
        ("blocks", "out"),
        ("out", "loss"),
        ("out", "motion"),
    ]
    return draw(boxes, edges)


def text_to_motion(config: DanceLanguageConfig) -> str:
    """Fig. 8."""
    stage, vae = config.text_to_motion, config.motion_vae
    if stage.fusion == "residual":
        fusion = "Three layers, GELU"
        widths = (f"{2 * vae.latent} to {vae.latent}", "+ the motion latent")
    else:
        fusion = "Linear, LayerNorm"
        gelu = ", GELU" if stage.gelu else ""
        widths = (f"{2 * vae.latent} to {vae.latent}{gelu}", "eq. 19")
    boxes = [
        Box("text", (0, 0), "Text latent", (f"{vae.latent}, eq. 11",), "data"),
        Box(
            "dance",
            (0, 1),
            "Motion latent",
            (_latent_of(stage.source), f"dropped {stage.latent_dropout:.0%} in training"),
            "data",
        ),
        Box("cat", (1, 0.5), "Concatenation", (f"{2 * vae.latent}, eq. 18",)),
        Box("fuse", (2, 0.5), fusion, widths),
        Box(
            "dec",
            (3, 0.5),
            f"{vae.decoder.upper()} decoder",
            (
                ("from scratch",)
                if config.text_to_motion.decoder_start == "scratch"
                else ("from the VAE,", "unfrozen by level")
            ),
        ),
        Box("out", (4, 0.5), "Motion", (f"{vae.num_frames} x {vae.num_joints} x 3",), "data"),
    ]
    names = ["cat", "fuse", "dec", "out"]
    return draw(boxes, [("text", "cat"), ("dance", "cat"), *zip(names, names[1:])])


def _latent_of(source: str) -> str:
    """Where eq. 18's motion latent comes from; the flow has none of its own."""
    return "source: asked for" if source == "flow" else f"source: {source}"
