"""Every default of the project, in one place, each with its unit and its reason.

A configuration is a frozen dataclass; `SYNTHESIS_PRESETS` and `TRAINING_PRESETS` are those that can be asked
for by name. `config_fields.override` changes fields from `field=value` strings as `--set` gives them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

from utils.errors import UserError

# Written into weights and tables of scores.
VERSION = "0.1.0"

# Below this side, in pixels, an image has no room for the patches that the project looks at.
SMALLEST_SIDE = 64


def _at_least(config: Any, least: int, *names: str) -> None:
    for name in names:
        if not least <= getattr(config, name) < 2**63:
            raise UserError(f"Field '{name}' must be at least {least}, not {getattr(config, name)}.")


def _above_zero(config: Any, *names: str) -> None:
    for name in names:
        if not 0 < getattr(config, name) < float("inf"):
            raise UserError(f"Field '{name}' must be above 0 and finite, not {getattr(config, name)}.")


@dataclass(frozen=True)
class Synthesis:
    """Distorted versions of plain images (method.md part 1, Data)."""

    # Names of `datasets.distorted.distortions.DISTORTIONS`; "a+b" applies a, then b, as cameras do
    # (optics, then the sensor, then the file); "a|b" draws one of them for each version.
    kinds: tuple[str, ...] = (
        "gaussian_blur", "motion_blur", "lens_blur", "white_noise", "dark_noise", "jpeg", "jpeg2000",
        "resample", "low_contrast", "high_contrast", "over_exposure", "under_exposure",
        "gaussian_blur+jpeg", "motion_blur+jpeg", "white_noise+jpeg", "dark_noise+jpeg",
    )  # fmt: skip
    # Strengths in [0, 1], 0 just visible and 1 the worst that people upload. Empty: each version
    # draws its own, uniform, so that the network sees a continuum and not a few steps.
    levels: tuple[float, ...] = ()
    # Distorted versions an image, the reference not counted. With `levels` given it is
    # ignored: every kind at every level.
    versions: int = 18
    # Shares of the versions with 1, 2, ... of `kinds` one after another, in the order of `kinds`, drawn
    # anew for each version. Empty: one of `kinds` a version.
    chain_lengths: tuple[float, ...] = ()
    # In a chain each part takes this share of the version's level, drawn uniformly between the two: two
    # faults at their worst at once would leave nothing of the image.
    chain_share: tuple[float, float] = (0.5, 1.0)
    # Factors by which versions are made smaller after they are distorted, before what their file does to
    # them, as people shrink images: crop number c of a size takes factor number c, over and over.
    shrink: tuple[float, ...] = (1.0,)
    # Short side in pixels to which an image is shrunk before it is cropped, one set of crops
    # a size; 0 keeps its own. A shrunk image is sharper than any camera's full resolution.
    # Images are never enlarged: sizes above their own count as their own, once.
    short_sides: tuple[int, ...] = (0,)
    # Crops an image and size, and their side in pixels once they are shrunk. 0 takes the whole image.
    crops: int = 1
    crop_size: int = 512
    # Everything random (kinds, levels, crops, noise) follows from this and the image's name.
    seed: int = 0
    # Both lossless. BMP takes twice the space of PNG and is read several times faster, which is
    # what a training step waits for.
    file_format: Literal["bmp", "png"] = "bmp"

    def __post_init__(self) -> None:
        _at_least(self, 1, "versions", "crops")
        _at_least(self, 0, "seed")
        if not self.kinds or not self.short_sides or not self.shrink:
            raise UserError("Fields 'kinds', 'short_sides' and 'shrink' need at least one value each.")
        self._check_chains()
        if len(self.chain_share) != 2 or not 0 <= self.chain_share[0] <= self.chain_share[1] <= 1:
            raise UserError("Field 'chain_share' takes two shares in [0, 1], the smaller first.")
        if not all(1 / SMALLEST_SIDE <= factor <= 1 for factor in self.shrink):
            raise UserError(f"Field 'shrink' takes factors from 1/{SMALLEST_SIDE} to 1.")
        if len(self.shrink) > self.crops:
            raise UserError(
                f"Field 'shrink' has {len(self.shrink)} factors, one a crop; field 'crops' is {self.crops}."
            )
        for level in self.levels:
            if not 0 <= level <= 1:
                raise UserError(f"Field 'levels' takes numbers in [0, 1], not {level}.")
        if 0 < self.crop_size < SMALLEST_SIDE:
            raise UserError(f"Field 'crop_size' takes 0 or {SMALLEST_SIDE} and more, not {self.crop_size}.")
        for side in self.short_sides:
            if side != 0 and side < self.smallest_side:
                raise UserError(f"Field 'short_sides' takes 0 or {self.smallest_side} and more, not {side}.")

    @property
    def smallest_side(self) -> int:
        """Short side in pixels of an image whose versions have `SMALLEST_SIDE` once they are shrunk."""
        return math.ceil(SMALLEST_SIDE / min(self.shrink))

    def _check_chains(self) -> None:
        if not self.chain_lengths:
            return
        if self.levels:
            raise UserError("Fields 'levels' and 'chain_lengths' exclude each other.")
        if len(self.chain_lengths) > len(self.kinds) or min(self.chain_lengths) < 0:
            raise UserError(
                "Field 'chain_lengths' takes shares of 0 and more, not more of them than 'kinds' has."
            )
        if not 0 < sum(self.chain_lengths) < float("inf"):
            raise UserError("Field 'chain_lengths' needs a share above 0.")
        names = [name for kind in self.kinds for name in set(kind.split("|"))]
        if len(set(names)) < len(names) or any("+" in name for name in names):
            raise UserError(
                "With 'chain_lengths' each distortion stands in one entry of 'kinds', without '+'."
            )


@dataclass(frozen=True)
class Training:
    """What the training of both branches has in common."""

    # Folder-per-image sets, several separated by commas. `tools.synthesize_distortions` makes one.
    data: tuple[str, ...] = ("data/distorted",)
    # Passes over all images.
    epochs: int = 15
    # Seed of the start weights, of the order of images and of every draw.
    seed: int = 0
    # "auto" takes a CUDA GPU when there is one.
    device: str = "auto"
    # "auto" takes bfloat16 on GPUs and processors that compute in it, else float32.
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    # Processes that read and cut; 0 reads in the training process, -1 takes half the cores, at
    # least 1 and at most 4: the step itself wants the others.
    workers: int = -1
    # Minutes between checkpoints inside an epoch: what a power cut can cost. One is written at
    # each epoch's end besides.
    checkpoint_minutes: float = 3.0
    # Epochs between weights that are kept as Train/epoch_NNN.safetensors (45 MB each of the low,
    # 153 MB each of the high level), so that they can be scored along the way: a lower loss is no
    # sign of a better score.
    export_epochs: int = 5
    # Leave files that cannot be read out of a set, and say so, instead of refusing the set.
    skip_unreadable: bool = False

    def __post_init__(self) -> None:
        _at_least(self, 1, "epochs", "export_epochs")
        _at_least(self, 0, "seed", "checkpoint_minutes")
        _at_least(self, -1, "workers")


@dataclass(frozen=True)
class LowLevelTraining(Training):
    """Training of the low-level encoder (method.md part 1); defaults fit a 2-core machine in an hour."""

    run_type: Literal["ll_model_train"] = "ll_model_train"
    # Where run folders are made.
    results: str = "Results/LLM"
    # Images a step. Authors: 8, which the paper's 9 versions and 2 views turn into 144 images.
    # The last, shorter batch of a pass is used too.
    batch_size: int = 8
    # Versions of an image in a step: the reference and versions - 1 others, drawn anew each time.
    # A folder that holds fewer gives all it has.
    versions: int = 9
    # Fragments: n x n of size x size pixels. Authors: 7 of 32 make 224. One fragment of 96
    # is what the zero-shot score looks at, and a step takes a fifth of the time.
    fragments_per_side: int = 1
    fragment_size: int = 96
    # How often the learning rate starts anew: n restarts make n + 1 equal cycles of the epochs, each with
    # its own rise and fall. Authors: 0.
    warm_restarts: int = 0
    # Side in pixels of a fragment in the first `early_epochs` of a cycle: a step of 64 takes half the time
    # of one of 96, and the last epochs see what the score looks at. Authors: none.
    early_fragment_size: int = 64
    early_epochs: int = 0
    # Share of the images of a step that pass through a JPEG file of good quality (65 to 97), the
    # reference too: images reach their readers so, and it should not count as a fault of theirs.
    # Authors: 0.
    jpeg_augmentation: float = 0.0
    # "contrast" is the paper's loss. "targets" teaches the first features what was done to an image:
    # its distance from the reference by FSIM and the level of each kind of distortion
    # (datasets/distorted/targets.py); it wants a set made by tools.synthesize_distortions.
    objective: Literal["contrast", "targets"] = "contrast"
    # First layer and blocks as drawn ("random", as the authors), or as a block transform ("cosines"), or
    # all from a file of weights, which must stay where it is while the run lasts.
    start: str = "random"
    # Share of the start's weights in the exported ones, for a start from a file: half-way between the two
    # a network keeps what the new set has no use for and gains most of what it teaches.
    start_share: float = 0.0
    # Softmax temperature. Authors: 0.5; .2 parts versions that differ little.
    temperature: float = 0.2
    # Exponent on alpha = 2 - 2 / (1 + FSIM^2). Authors: 1; FSIM of real distortions lies between
    # .7 and 1, so alpha hardly tells them apart until it is raised to a power.
    alpha_exponent: float = 4.0
    # "inside" or "outside": where alpha stands to the logarithm. Authors train with inside.
    loss_form: Literal["inside", "outside"] = "inside"
    # AdamW. Authors: 1e-4 for 9,375 steps; fewer steps need larger ones.
    learning_rate: float = 5e-4
    # Steps at the start of each cycle over which the rate rises to it. Authors: 0.
    warmup_steps: int = 0
    # The exported weights are a mean over steps, each step's share shrinking by this factor a step; 0
    # exports the weights as they are, as the authors.
    ema: float = 0.0
    # The cosine of each cycle ends here, so that the last steps only polish.
    final_learning_rate: float = 1e-6
    # Authors: 0.05, on BatchNorm and biases too; kept.
    weight_decay: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        _at_least(self, 1, "batch_size", "fragments_per_side", "fragment_size", "early_fragment_size")
        _at_least(self, 2, "versions")
        _at_least(self, 0, "weight_decay", "warmup_steps", "early_epochs", "warm_restarts")
        if self.epochs % (self.warm_restarts + 1):
            raise UserError(
                f"Field 'warm_restarts' is {self.warm_restarts}: its {self.warm_restarts + 1} cycles do not "
                f"divide the {self.epochs} epochs."
            )
        if self.early_epochs > self.cycle_epochs:
            raise UserError(
                f"Field 'early_epochs' is {self.early_epochs}, more than the {self.cycle_epochs} epochs of a "
                "cycle."
            )
        if self.early_epochs and self.early_fragment_size > self.fragment_size:
            raise UserError(
                f"Field 'early_fragment_size' is {self.early_fragment_size}, more than field "
                f"'fragment_size', {self.fragment_size}."
            )
        if not 0 <= self.jpeg_augmentation <= 1:
            raise UserError(
                f"Field 'jpeg_augmentation' takes a share in [0, 1], not {self.jpeg_augmentation}."
            )
        if not 0 <= self.start_share < 1:
            raise UserError(f"Field 'start_share' takes a share in [0, 1), not {self.start_share}.")
        if self.start_share and self.start in ("random", "cosines"):
            raise UserError("Field 'start_share' needs a file of weights in field 'start'.")
        if not 0 <= self.ema < 1:
            raise UserError(f"Field 'ema' takes a factor in [0, 1), not {self.ema}.")
        _above_zero(self, "temperature", "alpha_exponent", "learning_rate", "final_learning_rate")

    @property
    def cycle_epochs(self) -> int:
        """Epochs of a cycle."""
        return self.epochs // (self.warm_restarts + 1)


@dataclass(frozen=True)
class HighLevelTraining(Training):
    """Fine-tuning of CLIP's image encoder (method.md part 2); made for a GPU, runs on a processor."""

    run_type: Literal["hl_model_train"] = "hl_model_train"
    # Where run folders are made.
    results: str = "Results/HLM"
    # Of CLIP's ResNets, as its package names them. Authors: RN50.
    architecture: str = "RN50"
    # File of CLIP's weights; empty takes what GREPQ_CLIP_WEIGHTS names, else the package's own.
    clip_weights: str = ""
    # What a folder's reference image has in its file name; of several the last in sorted order.
    # In a folder that holds images itself each is an image, whatever its name.
    reference: str = "REF"
    # Side in pixels of the centre crop, at full resolution. 224 is what CLIP was trained on. Smaller
    # images are padded with CLIP's mean colour.
    crop: int = 224
    # Images a step, over all processes of torchrun. Authors: 128: the more there are, the
    # further apart are the best and the worst of them. The last, shorter batch of a pass is dropped.
    batch_size: int = 128
    # G, members of the good and of the bad group. Authors: 4, so that 8 of 128 images teach.
    group_size: int = 8
    # Of the group contrastive loss. Authors: 0.5.
    temperature: float = 0.5
    # A good and a bad prompt, or several pairs; CLIP reads them in lower case.
    prompts: tuple[str, ...] = ("a Good photo.", "a Bad photo.")
    # Positional embedding of the attention pool: "interpolate" is stock CLIP at 224, "none" is what
    # the score uses.
    positions: Literal["interpolate", "none"] = "interpolate"
    # Statistics of BatchNorm: each batch's own ("train", as the authors), or CLIP's, kept as they
    # are ("frozen"), which is what small batches want. Its weights are trained either way.
    batch_norm: Literal["train", "frozen"] = "train"
    # The projection that only the loss sees. Authors: stays as it was drawn.
    projection: Literal["frozen", "trained"] = "frozen"
    # What follows it. Authors: a ReLU, which keeps all similarities between 0 and 1.
    projection_activation: Literal["relu", "none"] = "relu"
    # Adam. Authors: 1e-6; ten times that is still small for fine-tuning, and gets somewhere.
    learning_rate: float = 1e-5
    # The rate rises from 0 over so many epochs, then stays, as the authors'.
    warmup_epochs: float = 2.5

    def __post_init__(self) -> None:
        super().__post_init__()
        _at_least(self, 2, "group_size")
        _at_least(self, 2 * self.group_size, "batch_size")
        _at_least(self, 32, "crop")
        _at_least(self, 0, "warmup_epochs")
        _above_zero(self, "temperature", "learning_rate")


@dataclass(frozen=True)
class Settings:
    """What a GRepQ model is made of and how it scores (method.md part 4); the numbers are the authors'."""

    # Side in pixels of pristine and test patches; a test image's patches overlap by half.
    patch_size: int = 96
    # A pristine patch is kept above this share of its image's sharpest patch, then ...
    sharpness: float = 0.75
    # ... above this share of the most colourful one among the sharp.
    colorfulness: float = 0.80
    # What the high-level branch compares an image with: a good and a bad prompt. More pairs (good, bad,
    # good, bad ...) are an ensemble, whose Q_high is the mean over the pairs.
    prompts: tuple[str, ...] = ("A good photo.", "A bad photo.")
    # Positional embedding of CLIP's attention pool: "none", or "interpolate" from its 7 x 7 grid to the
    # image's. Authors: none at test, by a line that users comment out of the installed package.
    positions: Literal["none", "interpolate"] = "none"
    # "own": the extended score where the low-level weights bring one (Evaluation/extended), else the
    # paper's. "paper": the paper's with any weights.
    score: Literal["own", "paper"] = "own"
    # The size at which the extended score looks at an image: "bounded" to a megapixel, as people look at it,
    # or "full". The paper's score, and features of whole images, always see all pixels.
    view: Literal["bounded", "full"] = "bounded"
    # "available": low, and high where CLIP's weights are at hand. The others are errors where they are not.
    branch: Literal["available", "low", "high", "both"] = "available"
    # Low-level weights, ours or the authors' .tar; empty: the authors' where they were put in place, else
    # the shipped ones.
    low: str = ""
    # Fine-tuned image encoder, ours or the authors' .pth; empty: the authors' where it was put in place, else
    # stock CLIP.
    high: str = ""
    # CLIP's weights; empty: what GREPQ_CLIP_WEIGHTS names, else what was fetched into the package's cache.
    clip: str = ""
    # Of CLIP's ResNets, where no file is named. Authors: RN50.
    architecture: str = "RN50"
    # Folder of pristine images; empty: the authors' file of patches in the working directory, else the
    # statistics beside the weights.
    pristine: str = ""
    # "auto" takes a CUDA GPU when there is one.
    device: str = "auto"
    # In which the encoders convolve. float32 is the reference for parity.
    precision: Literal["float32", "bfloat16"] = "float32"
    # "fastest": as models/engine.py finds it; "torch" is the reference for parity.
    engine: Literal["fastest", "torch"] = "fastest"
    # Memory that a file of under a megabyte may take while it is decoded, by `datasets.image_files`. One that
    # asks for more is no photograph, but made to fill the memory.
    decoding_megabytes: int = 200
    # Processes that measure images side by side and share the cores.
    jobs: int = 1
    # Added to the diagonal of the mean covariance, so that few patches leave it invertible.
    regularisation: float = 0.001
    # For the paper's score an image with a side under the patch, or with a single one, is enlarged so that
    # its short side is this many times the patch: 144 pixels for 96, which gives two patches or more.
    enlarged_short_side: float = 1.5
    # Patches that go through the encoder at once; bounds the memory an image takes.
    chunk: int = 256

    def __post_init__(self) -> None:
        _at_least(self, 32, "patch_size")  # of which the encoder's last map is one cell
        _at_least(self, 1, "chunk", "jobs", "decoding_megabytes")
        _above_zero(self, "regularisation", "enlarged_short_side")
        for name in ("sharpness", "colorfulness"):
            if not 0 <= getattr(self, name) < 1:
                raise UserError(f"Field '{name}' takes a share in [0, 1), not {getattr(self, name)}.")
        # From Python nobody has looked at these; a command line knows its choices.
        for name, values in (
            ("positions", ("none", "interpolate")),
            ("score", ("own", "paper")),
            ("view", ("bounded", "full")),
            ("branch", ("available", "low", "high", "both")),
            ("precision", ("float32", "bfloat16")),
            ("engine", ("fastest", "torch")),
        ):
            if getattr(self, name) not in values:
                raise UserError(f"Field '{name}' is one of {', '.join(values)}, not {getattr(self, name)}.")
        if not self.prompts or len(self.prompts) % 2:
            raise UserError(f"prompts come in pairs, a good and a bad one; there are {len(self.prompts)}.")

    @property
    def patches_file(self) -> str:
        """The authors' name for the file of pristine patches."""
        return f"pristine_patches_{self.patch_size:03d}_{self.sharpness:.2f}_{self.colorfulness:.2f}.hdf5"


# Blocks of features in the order in which few-label regression sets them end to end; the first two are the
# authors' (Evaluation/few_labels/blocks.py).
FEATURE_BLOCKS = ("high", "low", "low_patches", "low_inner", "semantic", "zeroshot")
# Other words for several of them.
FEATURE_GROUPS = {"both": ("high", "low"), "all": FEATURE_BLOCKS}


@dataclass(frozen=True)
class FewLabels:
    """Few-label regression (method.md part 5); the protocol is that of the published tables."""

    # Words of `FEATURE_BLOCKS` and `FEATURE_GROUPS`; empty: both, or low where CLIP's weights are missing.
    features: tuple[str, ...] = ()
    # Labelled images, drawn in one order a split: the first 50 are among the first 100.
    n_labels: tuple[int, ...] = (50, 100, 200)
    # Random splits, whose median is reported. Published: 10.
    splits: int = 10
    # "published": labels from a random 80 %, test on the others, contents on one side only. "rest": test on
    # all that was not labelled. "official": labels from the set's own training part, test on its test part.
    protocol: Literal["published", "rest", "official"] = "published"
    # Share of the images (contents, where there are some) that "published" tests on.
    test_share: float = 0.2
    # Penalties of the ridge regression to choose from; one alone is fixed. Authors: these four.
    alphas: tuple[float, ...] = (0.1, 1.0, 10.0, 100.0)
    # Whether each feature is divided by its deviation over the labelled images. Authors: not.
    standardise: bool = False
    # Split number i follows from this and i, whatever the number of splits.
    seed: int = 0

    def __post_init__(self) -> None:
        _at_least(self, 1, "splits")
        _at_least(self, 0, "seed")
        known = (*FEATURE_GROUPS, *FEATURE_BLOCKS)
        for name in self.features:
            if name not in known:
                raise UserError(f"Field 'features' takes {', '.join(known)}, not {name}.")
        if not self.n_labels or min(self.n_labels) < 2:
            raise UserError(f"Field 'n_labels' takes numbers of 2 and more, not {self.n_labels}.")
        if not self.alphas or not all(0 < alpha < float("inf") for alpha in self.alphas):
            raise UserError(f"Field 'alphas' takes numbers above 0, not {self.alphas}.")
        if not 0 < self.test_share < 1:
            raise UserError(f"Field 'test_share' must lie between 0 and 1, not {self.test_share}.")


AUTHORS_SYNTHESIS = Synthesis(
    # Four kinds at two levels make the release's 9 versions; it does not say which four.
    kinds=("gaussian_blur", "white_noise", "jpeg", "jpeg2000"),
    levels=(0.4, 0.8),
)

CAMERA_SYNTHESIS = Synthesis(
    # Each kind by itself, those of the laboratory twice, and chains as cameras make them: light, lens
    # or hand, sensor, its repair, file.
    kinds=(
        "gaussian_blur", "gaussian_blur", "white_noise", "white_noise", "jpeg", "jpeg",
        "jpeg2000", "jpeg2000", "motion_blur", "lens_blur", "dark_noise", "resample", "denoise", "sharpen",
        "low_contrast", "high_contrast", "over_exposure", "under_exposure", "haze", "colour_cast",
        "lens_blur+jpeg", "motion_blur+jpeg", "gaussian_blur+white_noise", "resample+jpeg",
        "lens_blur+dark_noise", "motion_blur+dark_noise+jpeg", "dark_noise+denoise",
        "white_noise+denoise+jpeg",
        "lens_blur+dark_noise+denoise+sharpen+jpeg", "dark_noise+jpeg",
        "under_exposure+motion_blur+dark_noise+denoise", "under_exposure+lens_blur+dark_noise+jpeg",
        "over_exposure+lens_blur", "haze+lens_blur+jpeg", "high_contrast+motion_blur+jpeg",
        "low_contrast+gaussian_blur",
    ),
    versions=18,
    # Scenes at several scales; 384 pixels are what FSIM looks at in half resolution, as of any image
    # of common size.
    short_sides=(0, 704, 512, 384), crops=2, crop_size=384,
)  # fmt: skip

CHAINS_SYNTHESIS = Synthesis(
    # What happens to an image between the scene and its reader, in this order: light, lens or hand,
    # sensor, what the camera makes of it, the file. A version has one to five of them, the milder the
    # more, and two of three crops are made smaller before the file is written.
    kinds=(
        "under_exposure|over_exposure|low_contrast|high_contrast|haze|colour_cast",
        "gaussian_blur|motion_blur|lens_blur",
        "dark_noise|white_noise",
        "denoise|sharpen|resample",
        "jpeg|jpeg|jpeg2000",
    ),
    chain_lengths=(0.4, 0.25, 0.2, 0.1, 0.05), chain_share=(0.1, 1.0), shrink=(1.0, 0.75, 0.5),
    versions=18, short_sides=(0, 704), crops=3, crop_size=384,
)  # fmt: skip

RELEASED_LOW_LEVEL = LowLevelTraining(
    fragments_per_side=7,
    fragment_size=32,
    temperature=0.5,
    alpha_exponent=1.0,
    learning_rate=1e-4,
    precision="float32",
)

# The first of the two runs that made the shipped weights.
DISTORTION_TARGETS = LowLevelTraining(
    data=("data/camera",), objective="targets", start="cosines", jpeg_augmentation=0.75,
    learning_rate=1e-3, final_learning_rate=1e-5,
    warmup_steps=30, ema=0.99, epochs=120, warm_restarts=1, early_epochs=48, export_epochs=12,
)  # fmt: skip

# The second, from the weights that the first leaves, which start=FILE must name: the same on chains that
# are nearer to what happens to people's images.
DISTORTION_TARGETS_ON_CHAINS = replace(
    DISTORTION_TARGETS, data=("data/chains",), start="", start_share=0.5,
    learning_rate=5e-4, epochs=36, warm_restarts=0, early_epochs=27,
)  # fmt: skip

RELEASED_HIGH_LEVEL = HighLevelTraining(group_size=4, learning_rate=1e-6, precision="float32")

# What `--preset` and `--run_type` choose from.
SYNTHESIS_PRESETS = {
    "default": Synthesis(), "camera": CAMERA_SYNTHESIS, "chains": CHAINS_SYNTHESIS,
    "authors": AUTHORS_SYNTHESIS,
}  # fmt: skip
TRAINING_PRESETS: dict[str, dict[str, Any]] = {
    "ll_model_train": {
        "default": LowLevelTraining(),
        "distortion_targets": DISTORTION_TARGETS,
        "distortion_targets_on_chains": DISTORTION_TARGETS_ON_CHAINS,
        "released": RELEASED_LOW_LEVEL,
    },
    "hl_model_train": {"default": HighLevelTraining(), "released": RELEASED_HIGH_LEVEL},
}


@dataclass(frozen=True)
class TryOut:
    """What `python train.py` does where there is no training set yet: a minute on the sample images."""

    synthesis: Synthesis
    training: LowLevelTraining


TRY_OUT = TryOut(
    Synthesis(versions=8, crops=4, crop_size=192, short_sides=(0,)),
    LowLevelTraining(
        data=("Results/distorted_samples",), epochs=6, batch_size=4, versions=5, fragment_size=64, workers=0
    ),
)
