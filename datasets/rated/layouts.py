"""The table of rated sets: what differs between them are the fields of their rows.

Names of files and folders are patterns relative to a set's root and match in any case; the first that
is there is taken. Terms of use are as public sources quote them: the sites themselves decide.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from datasets.rated import readers as readers
from datasets.rated.readers import Rating

Kind = Literal["MOS", "DMOS"]
SplitRule = Literal["image", "reference", "official"]

_SPREADSHEETS = ("xlsx", "csv", "xls")


@dataclass(frozen=True)
class Layout:
    """How a rated set lies on disk, is read, and may be used: one row of `RATED_SETS`."""

    name: str
    # MOS: higher is better. DMOS: a difference from the reference, lower is better.
    kind: Kind
    # The scale of the scores; where there is none, the lowest and highest score, rounded outward.
    range: tuple[float, float] | None
    # Score files, or folders of them, best first: relative to them the root is known.
    scores: tuple[str, ...]
    # Folders of the images, best first. Where a pattern names several, the images are spread over them.
    images: tuple[str, ...]
    # From the score file to the ratings in the set's order.
    read: Callable[[Path], list[Rating]]
    # What may not lie on both sides of a split: an image, or a content; or the authors have split it.
    split: SplitRule
    # Images of the whole set, without those in `left_out`; None: any number.
    expected: int | None
    citation: str
    licence: str
    # Other names it goes by.
    aliases: tuple[str, ...] = ()
    # Names, lower case, of rated images that are not part of the test.
    left_out: frozenset[str] = frozenset()
    # Name, lower case -> (height, width) to which the protocol resizes the image.
    resized: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    # File (a pattern) beside the scores -> the sentence to be said where it is not there.
    advised: Mapping[str, str] = field(default_factory=dict)


_ROWS = (
    Layout(
        name="CLIVE",
        aliases=("LIVEC", "LIVE Challenge", "LIVE in the Wild"),
        kind="MOS",
        range=(0, 100),
        scores=("Data/AllMOS_release.mat",),
        images=("Images",),
        read=readers.read_clive,
        split="image",
        expected=1162,
        # The training images of the crowd lie in a folder of their own, and nobody tests on them.
        left_out=frozenset(f"t{n}.bmp" for n in range(1, 8)),
        # The two that are not 500 x 500; the authors squeeze them, aspect not kept.
        resized={"1024.jpg": (500, 500), "1113.jpg": (500, 500)},
        citation="Ghadiyaram, Bovik: Massive Online Crowdsourced Study of Subjective and Objective Image "
        "Quality. IEEE TIP 25(1), 2016",
        licence="UT Austin notice: any use with the notice kept and the source cited",
    ),
    Layout(
        name="KonIQ-10k",
        aliases=("KONIQ",),
        kind="MOS",
        range=(0, 100),  # of the z-scored MOS, which the authors of GRepQ take; not the one from 1 to 5
        scores=(
            "koniq10k_distributions_sets.csv",
            "metadata/koniq10k_distributions_sets.csv",
            "koniq10k_distributions_sets/koniq10k_distributions_sets.csv",
            "koniq10k_scores_and_distributions.csv",
            "koniq10k_scores_and_distributions/koniq10k_scores_and_distributions.csv",
            "koniq10k_scores.csv",
        ),
        # Published in three sizes; the first is the one of the authors' test.
        images=(
            *("1024x768", "*/1024x768", "koniq10k_1024x768"),
            *("512x384", "*/512x384", "koniq10k_512x384"),
            *("224x224", "*/224x224", "koniq10k_224x224", "."),
        ),
        read=readers.read_koniq,
        split="official",
        expected=10073,
        advised={
            "koniq10k_distributions_sets.csv": "Without koniq10k_distributions_sets.csv beside the scores "
            "the official split is not known.",
        },
        citation="Hosu, Lin, Sziranyi, Saupe: KonIQ-10k: An Ecologically Valid Database for Deep Learning of "
        "Blind Image Quality Assessment. IEEE TIP 29, 2020",
        licence="freely available to the research community; images under their own CC licences",
    ),
    Layout(
        name="SPAQ",
        kind="MOS",
        range=(0, 100),
        scores=tuple(
            f"{folder}MOS?and?Image?attribute?scores.{suffix}"
            for suffix in _SPREADSHEETS
            for folder in ("Annotations/", "", "Dataset/Annotations/")
        ),
        images=("TestImage", "Dataset/TestImage", "."),
        read=readers.read_spaq,
        split="image",
        expected=11125,
        citation="Fang, Zhu, Zeng, Ma, Wang: Perceptual Quality Assessment of Smartphone Photography. CVPR "
        "2020",
        licence="education and research only; commercial products need permission",
    ),
    Layout(
        name="FLIVE",
        aliases=("LIVE-FB", "PaQ-2-PiQ"),
        kind="MOS",
        range=(0, 100),
        scores=("labels_image.csv", "database/labels_image.csv"),
        images=("database", "."),
        read=readers.read_flive,
        split="official",
        expected=39810,
        advised={
            "labels[6>]*.csv": "Without labels640.csv beside the scores the official test part is not known.",
            "labels*=640_padded.csv": "Without labels=640_padded.csv beside the scores the official training "
            "and validation parts are not known.",
        },
        citation="Ying, Niu, Gupta, Mahajan, Ghadiyaram, Bovik: From Patches to Images (PaQ-2-PiQ): "
        "Mapping the Perceptual Space of Image Quality. CVPR 2020",
        licence="none stated for the scores, the repository is CC BY-NC; source sets keep their own terms",
    ),
    Layout(
        name="LIVE",
        aliases=("LIVE2", "LIVE r2", "LIVE IQA"),
        kind="DMOS",
        # Of the realigned scores; the first ones are said to lie between 1 and 100.
        range=(-3, 112),
        scores=("dmos_realigned.mat", "dmos.mat"),
        images=(".",),
        read=readers.read_live,
        split="reference",
        expected=779,
        advised={
            "dmos_realigned.mat": "The scores are those of dmos.mat; the realigned ones, dmos_realigned.mat, "
            "are recommended and not there.",
        },
        citation="Sheikh, Sabir, Bovik: A Statistical Evaluation of Recent Full Reference Image Quality "
        "Assessment Algorithms. IEEE TIP 15(11), 2006; LIVE Image Quality Assessment Database Release 2",
        licence="UT Austin notice: any use with the notice kept and the source cited; nine references for "
        "use inside this set only",
    ),
    Layout(
        name="CSIQ",
        kind="DMOS",
        range=(0, 1),
        scores=tuple(f"csiq.{version}.{suffix}" for suffix in _SPREADSHEETS for version in ("DMOS", "beta")),
        images=("dst_imgs", "dst_imgs/dst_imgs", "."),
        read=readers.read_csiq,
        split="reference",
        expected=866,
        citation="Larson, Chandler: Most apparent distortion: full-reference image quality assessment and "
        "the role of strategy. Journal of Electronic Imaging 19(1), 2010",
        licence="no terms found",
    ),
    Layout(
        name="TID2013",
        aliases=("TID",),
        kind="MOS",
        range=(0, 9),
        scores=("mos_with_names.txt",),
        images=("distorted_images", "."),
        read=readers.read_tid2013,
        split="reference",
        expected=3000,
        citation="Ponomarenko et al.: Image database TID2013: Peculiarities, results and perspectives. "
        "Signal Processing: Image Communication 30, 2015",
        licence="education and research only; unmodified unless permitted",
    ),
    Layout(
        name="KADID-10k",
        aliases=("KADID",),
        # Its column is called dmos, but "high value of DMOS corresponds to higher visual quality".
        kind="MOS",
        range=(1, 5),
        scores=("dmos.csv",),
        images=("images", "."),
        read=readers.read_kadid,
        split="reference",
        expected=10125,
        citation="Lin, Hosu, Saupe: KADID-10k: A Large-scale Artificially Distorted IQA Database. QoMEX 2019",
        licence="freely available to the research community",
    ),
    Layout(
        name="PIPAL",
        # Elo: higher is better; comparable mainly among the images of one reference.
        kind="MOS",
        range=(916, 1837),
        scores=("Train_Label", "MOS_Scores_train", "pipal*_train.txt"),
        images=("Distortion_[0-9]", "Distortion[0-9]", "Distortion/Distortion*[0-9]", "Dist_Imgs", "."),
        read=readers.read_pipal,
        split="reference",
        expected=23200,  # of the 200 references whose scores are public
        citation="Gu, Cai, Chen, Ye, Ren, Dong: PIPAL: a Large-Scale Image Quality Assessment Dataset for "
        "Perceptual Image Restoration. ECCV 2020",
        licence="no terms found",
    ),
    Layout(
        name="CID2013",
        aliases=("CID",),
        kind="MOS",
        range=(-10, 88),
        scores=tuple(f"CID2013 data*.{suffix}" for suffix in _SPREADSHEETS),
        images=(".",),
        read=readers.read_cid2013,
        split="reference",  # no protocol is fixed; by scene is the stricter reading
        expected=474,  # the paper counts 480, the release has six fewer
        citation="Virtanen, Nuutinen, Vaahteranoksa, Oittinen, Häkkinen: CID2013: A Database for Evaluating "
        "No-Reference Image Quality Assessment Algorithms. IEEE TIP 24(1), 2015",
        licence="Helsinki notice: use and copies with notice and citation; no single images outside it",
    ),
    Layout(
        name="AGIQA-3K",
        aliases=("AGIQA",),
        kind="MOS",
        range=(0, 5),
        scores=("data.csv",),
        images=("images", "AGIQA-3K", "AGIQA-3K/images", "."),  # the archive's folder is not known for sure
        read=readers.read_agiqa,
        split="reference",
        expected=2982,
        citation="Li et al.: AGIQA-3K: An Open Database for AI-Generated Image Quality Assessment. IEEE "
        "TCSVT, 2023",
        licence="MIT",
    ),
    Layout(
        name="BID",
        kind="MOS",
        range=(0, 5),
        scores=tuple(f"DatabaseGrades.{suffix}" for suffix in _SPREADSHEETS),
        images=("ImageDatabase", "."),
        read=readers.read_bid,
        split="image",
        expected=586,
        citation="Ciancio et al.: No-Reference Blur Assessment of Digital Images Based on Multifeature "
        "Classifiers. IEEE TIP 20(1), 2011",
        licence="no terms found",
    ),
    Layout(
        name="UHD-IQA",
        aliases=("UHD",),
        kind="MOS",
        range=(0, 1),
        scores=("uhd-iqa-metadata.csv", "uhd-iqa-metadata/uhd-iqa-metadata.csv"),
        images=(".", "UHD-IQA-database", "UHD-IQA-database/UHD-IQA-database"),
        read=readers.read_uhd_iqa,
        split="official",
        expected=6073,
        citation="Hosu, Agnolucci, Wiedemann, Iso, Saupe: UHD-IQA Benchmark Database: Pushing the Boundaries "
        "of Blind Photo Quality Assessment. 2024, arXiv:2406.17472",
        licence="images CC0 (Pixabay); scores freely available to the research community",
    ),
    Layout(
        name="csv",
        kind="MOS",
        range=None,
        scores=("*.csv",),
        images=(".",),
        read=readers.read_csv_scores,
        split="image",  # or as its columns reference and split say
        expected=None,
        citation="your own: columns image and mos (higher is better), perhaps reference and split",
        licence="your own",
    ),
)

RATED_SETS: Mapping[str, Layout] = {row.name: row for row in _ROWS}
