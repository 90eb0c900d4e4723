"""Whether a score follows what is done to an image, and nothing else: steadiness in one table.

python -m benchmarks.steadiness --img_dir GOOD_IMAGES [--large_img_dir LARGE_GOOD_IMAGES]

Good images are distorted in steps, cropped, shrunk and changed in ways that leave their quality as it is.
Large ones, 2,048 pixels wide and more, are for the row that looks at one image at several sizes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from configs import Settings
from utils.cli import MODEL_FLAGS, SCORE_FLAGS, add_fields, add_set, command, make_parser, with_fields

if TYPE_CHECKING:
    import torch

    Image = torch.Tensor
    Score = Callable[[Image], float]

CROPS = (96, 128, 192, 256, 384)
WIDTHS = (2048, 1024, 512)


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 printed, 2 bad input, 130 interrupted."""
    parser = make_parser(__doc__, __file__)
    parser.add_argument("--img_dir", type=Path, required=True, help="good images, of 512 pixels or more")
    parser.add_argument("--large_img_dir", type=Path, help="good images of 2,048 pixels or more")
    add_fields(parser, Settings(branch="low"), (*SCORE_FLAGS, *MODEL_FLAGS))
    add_set(parser, "Settings")
    args = parser.parse_args(argv)
    settings = with_fields(Settings(branch="low"), args)

    # Only now: --help does not wait for torch.
    import numpy as np
    from tqdm import tqdm

    from datasets.decoder import read_image
    from datasets.image_files import list_images
    from Evaluation.grepq import GRepQ

    model = GRepQ(settings).load()

    def score(image: Image) -> float:
        return float(model.score(model.measure(image)).q_low)  # type: ignore[union-attr, arg-type]

    images = [read_image(path) for path in tqdm(list_images(args.img_dir), desc="Reading", disable=None)]
    print(f"{model.name}, {len(images)} images\n| what | is measured | figure |\n| --- | --- | --- |")
    falls: list[bool] = []
    for name, steps in ladders().items():
        taken = [np.diff([score(step(image)) for step in steps]) < 0 for image in tqdm(images, desc=name)]
        falls.extend(np.concatenate(taken))
        print(f"| {name} | neighbouring steps that fall | {np.mean(taken):.1%} |")
    print(f"| all of these | neighbouring steps that fall | {np.mean(falls):.1%} |")
    even = [image for image in images if is_evenly_sharp(image)] or images
    wholes = [score(image) for image in even]
    for side in CROPS:
        pairs = zip(even, wholes, strict=True)
        apart = [abs(score(crop) - whole) for image, whole in pairs for crop in crops(image, side)]
        name = f"crop of {side} ({len(even)} evenly sharp images)"
        print(f"| {name} | median difference to the whole | {np.median(apart):.3f} |")
    for name, change in unchanged().items():
        apart = [abs(score(change(image)) - score(image)) for image in images]
        print(f"| {name} | median, largest difference | {np.median(apart):.3f}, {max(apart):.3f} |")
    ordered = [subject_order(image, score) for image in images]
    print(f"| sharp > sharp subject > sharp background > blurred | images | {np.mean(ordered):.1%} |")
    if args.large_img_dir:
        print_sizes(list_images(args.large_img_dir), score)
    return 0


def ladders() -> Mapping[str, Sequence[Callable[[Image], Image]]]:
    """Steps of each kind of distortion, from none to the strongest, each of the undistorted image."""
    import io

    import numpy as np
    import torch
    from PIL import Image as Pillow
    from scipy import ndimage

    def blur(sigma: float) -> Callable[[Image], Image]:
        return lambda image: torch.from_numpy(ndimage.gaussian_filter(image.numpy(), (0, sigma, sigma)))

    def noise(deviation: float) -> Callable[[Image], Image]:
        def add(image: Image) -> Image:
            drawn = torch.randn(image.shape, generator=torch.Generator().manual_seed(0))
            return ((image * 255 + deviation * drawn).round() / 255).clamp(0, 1)

        return add

    def jpeg(quality: int) -> Callable[[Image], Image]:
        def through(image: Image) -> Image:
            file = io.BytesIO()
            pixels = (image * 255).round().byte().permute(1, 2, 0).numpy()
            Pillow.fromarray(pixels).save(file, "JPEG", quality=quality)
            return torch.from_numpy(np.array(Pillow.open(file))).permute(2, 0, 1).float() / 255

        return through

    def exposure(stops: float) -> Callable[[Image], Image]:
        def expose(image: Image) -> Image:
            linear = torch.where(image <= 0.04045, image / 12.92, ((image + 0.055) / 1.055) ** 2.4)
            light = (linear * 2**stops).clamp(0, 1)
            shown = torch.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
            return (shown * 255).round() / 255

        return expose

    return {
        "Gaussian blur, sigma 0 1 2 4 8 16": [blur(sigma) for sigma in (0, 1, 2, 4, 8, 16)],
        "noise, deviation 0 10 25 50 100": [noise(deviation) for deviation in (0, 10, 25, 50, 100)],
        "JPEG, quality 95 50 30 20 10 5": [jpeg(quality) for quality in (95, 50, 30, 20, 10, 5)],
        "downsampling, 1 2 4 8": [down_and_up(factor) for factor in (1, 2, 4, 8)],
        "exposure, 0 -1 -2 -3 -4 stops": [exposure(-stops) for stops in range(5)],
        "exposure, 0 +1 +2 +3 +4 stops": [exposure(stops) for stops in range(5)],
    }


def down_and_up(factor: float) -> Callable[[Image], Image]:
    """Makes an image smaller and enlarges it again."""
    from Evaluation.image_sizes import resize

    def change(image: Image) -> Image:
        height, width = image.shape[-2:]
        return resize(resize(image, round(height / factor), round(width / factor)), height, width)

    return change


def unchanged() -> Mapping[str, Callable[[Image], Image]]:
    """What leaves an image's quality as it is."""
    import torch

    def stamped(image: Image) -> Image:
        image = image.clone()
        image[:, -40:-16, -120:-16] = torch.tensor([1.0, 0.9, 0.2])[:, None, None]
        image[:, -36:-20:4, -116:-20] = 0
        return image

    def barred(image: Image) -> Image:
        image = image.clone()
        image[:, : image.shape[1] // 16] = image[:, -(image.shape[1] // 16) :] = 0
        return image

    return {
        "mirrored": lambda image: image.flip(2),
        "moved by 5 and 3 pixels": lambda image: image[:, 3:, 5:],
        "a stamp in a corner": stamped,
        "black bars above and below": barred,
    }


def is_evenly_sharp(image: Image) -> bool:
    """Whether no sixteenth of an image is less than a third as sharp as the sharpest."""
    from Evaluation.patches import sharpness

    rows, columns = (side // 4 for side in image.shape[-2:])
    parts = image.unfold(1, rows, rows).unfold(2, columns, columns).permute(1, 2, 0, 3, 4).flatten(0, 1)
    sharp = sharpness(parts)
    return bool(sharp.min() > sharp.max() / 3)


def crops(image: Image, side: int) -> list[Image]:
    """The square in the middle, and the four half-way to the corners."""
    height, width = (length - side for length in image.shape[-2:])
    places = [(2, 2), (1, 1), (1, 3), (3, 1), (3, 3)]
    return [image[:, height * y // 4 :, width * x // 4 :][:, :side, :side] for y, x in places]


def subject_order(image: Image, score: Score) -> bool:
    """Whether `sharp > sharp middle, blurred around > blurred middle, sharp around > blurred` in score."""
    import torch
    from scipy import ndimage

    blurred = torch.from_numpy(ndimage.gaussian_filter(image.numpy(), (0, 4, 4)))
    y, x = (torch.linspace(-1, 1, length) for length in image.shape[-2:])
    middle = ((0.9 - torch.hypot(y[:, None], x)) / 0.3).clamp(0, 1)  # half sides: 1 up to .6, 0 from .9
    subject, reverse = (blurred + (image - blurred) * share for share in (middle, 1 - middle))
    scores = [score(one) for one in (image, subject, reverse, blurred)]
    return scores == sorted(scores, reverse=True)


def print_sizes(paths: Sequence[Path], score: Score) -> None:
    """Scores of large images at several widths, and enlarged from the smallest."""
    import numpy as np
    from tqdm import tqdm

    from datasets.decoder import read_image
    from Evaluation.image_sizes import resize
    from utils.errors import UserError

    rows = []
    for path in tqdm(paths, desc="Sizes", disable=None):
        image = read_image(path)
        height, width = image.shape[-2:]
        if width < WIDTHS[0]:
            continue
        sizes = [resize(image, round(height * to / width), to) for to in WIDTHS]
        enlarged = resize(sizes[-1], *sizes[0].shape[-2:])
        rows.append([score(one) for one in (*sizes, enlarged)])
    if not rows:
        raise UserError(f"{paths[0].parent}: holds no image that is {WIDTHS[0]} pixels wide.")
    figures = np.array(rows)
    for place, width in enumerate(WIDTHS[1:], start=1):
        apart = np.median(np.abs(figures[:, place] - figures[:, 0]))
        print(f"| {len(rows)} sharp images {WIDTHS[0]} wide, at {width} | median difference | {apart:.3f} |")
    below = np.median(figures[:, 0] - figures[:, -1])
    print(f"| the same, enlarged from {WIDTHS[-1]} | median fall | {below:.3f} |")


if __name__ == "__main__":
    sys.exit(main())
