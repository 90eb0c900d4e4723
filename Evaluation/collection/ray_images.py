"""Images as Ray reads them: paths, Parquet files with bytes, WebDataset tars, addresses of object stores.

Images travel pickled in the one column of a data set, as `RatedImage` where they are files, else as `Named`.
Processes that only read and pack need no torch, so nothing here imports it.
"""

from __future__ import annotations

import glob
import hashlib
import io
import pickle
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import numpy as np

from Evaluation.collection.rows import printable
from utils.cli import say
from utils.errors import UserError

if TYPE_CHECKING:
    from datasets.rated.sets import RatedImage

# Of a core, for a task that reads: the rest is for the workers that measure.
READING = {"num_cpus": 0.2}
# Of a Parquet file the first of these that there is: bytes, or {bytes, path} as Hugging Face writes it.
IMAGE_COLUMNS = ("image", "bytes", "image_bytes", "jpg", "content")
NAME_COLUMNS = ("path", "key", "__key__", "name", "file_name", "filename", "image_id", "id", "url")
# What the path of its file is called in a row of a Parquet file, which may have a column "path" of its own.
FILE = "file of this row"
# Ends of names -> what reads such files of an address; all others are taken for images.
KINDS = {".parquet": "read_parquet", ".tar": "read_webdataset"}


@dataclass(frozen=True)
class Named:
    """The bytes of a file, where a path is expected; one that is not `taken` as an image may be none."""

    name: str
    data: bytes
    taken: bool = False

    def open(self, mode: str = "rb") -> IO[bytes]:
        """The bytes as a file."""
        return io.BytesIO(self.data)

    def __str__(self) -> str:
        return self.name

    @property
    def is_image(self) -> bool:
        """By its first bytes, as `find_images` tells; what is `taken` is one whatever it is."""
        from datasets.image_files import PREFIX, begins_as_image

        return self.taken or begins_as_image(self.data[:PREFIX])


@dataclass(frozen=True)
class Source:
    """Files that Ray reads by a function of `ray.data`."""

    reader: str
    paths: list[str]
    # pyarrow's file system of the paths, and what stands before them in the names of images.
    system: Any = None
    prefix: str = ""
    # Of Parquet files those that are read.
    columns: tuple[str, ...] = ()
    # Whether all that is read is taken for images: it was named itself, or is a table of them.
    taken: bool = False

    def dataset(self, ray: Any, known: Any) -> Any:
        """Their images, without those whose digests are in the array that `known` refers to."""
        options: dict[str, Any] = {"filesystem": self.system, **READING}
        tables = self.reader == "read_parquet"
        # Ray would put the file in the place of names that are called so.
        tells_file = tables and "path" not in self.columns
        if tables:
            options |= {"columns": list(self.columns), "include_paths": tells_file}
        elif self.reader == "read_webdataset":
            options["decoder"] = None
        else:
            options["include_paths"] = True
        unpack, prefix, taken = _UNPACK[self.reader], self.prefix, self.taken

        def pack(batch: Any) -> Any:
            there = ray.get(known)
            if tells_file:
                batch = batch.rename_columns([FILE if one == "path" else one for one in batch.column_names])
            images = [Named(*one, taken) for row in batch.to_pylist() for one in unpack(row, prefix)]
            return packed([one for one in images if not _is_in(there, one.name)])

        read = getattr(ray.data, self.reader)(self.paths, **options)
        return read.map_batches(pack, batch_size=None, batch_format="pyarrow", **READING)


@dataclass
class Found:
    """Images that this process can list, and files that Ray reads."""

    images: Sequence[RatedImage] = ()
    sources: list[Source] = field(default_factory=list)


def find(paths: Sequence[str], lists: Sequence[str]) -> Found:
    """Images of local paths as `find_images` finds them; Parquet files; what is at addresses.

    Raises:
        UserError: there is none, an address cannot be listed, or a Parquet file has no images or no names.
    """
    found = Found()
    tables = [path for path in paths if path.lower().endswith(".parquet") and "://" not in path]
    others = [path for path in paths if path not in tables and "://" not in path]
    if others or lists:
        from datasets.collection import find_images

        try:
            collection = find_images(others, lists)
        except UserError as error:
            table = next((one for path in others for one in Path(path).rglob("*.parquet")), None)
            if table is None:
                raise
            named = f'name the Parquet files themselves, "{table.parent}/*.parquet".'
            raise UserError(f"{str(error).rstrip('.')}; {named}") from None
        for sentence in collection.sentences():
            say(sentence)
        found.images = collection.images
    alike: dict[tuple[str, ...], list[str]] = {}
    for path in tables:
        files = sorted(glob.glob(path, recursive=True)) or [path]  # noqa: PTH207 (as find_images)
        alike.setdefault(_columns(files[0], None), []).extend(str(Path(one).resolve()) for one in files)
    for columns, files in alike.items():
        found.sources.append(Source("read_parquet", files, columns=columns, taken=True))
    for address in paths:
        if "://" in address:
            found.sources += _at(address)
    return found


def _at(address: str) -> Iterator[Source]:
    """The file of an address, or of a folder all below, hidden ones left out."""
    from pyarrow import fs

    try:
        system, path = fs.FileSystem.from_uri(address)
        own = system.get_file_info(path)
        infos = [own] if own.is_file else system.get_file_info(fs.FileSelector(path, recursive=True))
    except (OSError, ValueError) as error:  # pyarrow's own are of these
        raise UserError(
            f"{address}: cannot be listed ({' '.join(str(error).split()).rstrip('.')})."
        ) from None
    kinds: dict[str, list[str]] = {}
    for one in infos:
        if one.is_file and not any(part.startswith(".") for part in one.path[len(path) :].split("/")):
            kinds.setdefault(KINDS.get(Path(one.path).suffix.lower(), "read_binary_files"), []).append(
                one.path
            )
    if not kinds:
        raise UserError(f"{address}: holds no file.")
    scheme = address.partition("://")[0]
    for reader, files in kinds.items():
        columns = _columns(files[0], system) if reader == "read_parquet" else ()
        taken = reader == "read_parquet" or (own.is_file and reader == "read_binary_files")
        yield Source(reader, files, system, "" if scheme == "file" else f"{scheme}://", columns, taken)


def packed(images: Sequence[RatedImage | Named]) -> Any:
    """Images as a block of Ray."""
    import pyarrow as pa

    return pa.table({"image": pa.array([pickle.dumps(one) for one in images], pa.large_binary())})


def unpacked(block: Any) -> list[RatedImage]:
    """What `packed` packed."""
    from datasets.rated.sets import RatedImage

    images = [pickle.loads(one) for one in block["image"].to_pylist()]
    return [RatedImage(one.name, cast(Path, one)) if isinstance(one, Named) else one for one in images]


def digest(name: str) -> bytes:
    """16 bytes that stand for an image's name."""
    return hashlib.blake2b(printable(name).encode(), digest_size=16).digest()


def digests(of: Iterable[bytes]) -> np.ndarray:
    """Digests in the order that `_is_in` wants."""
    return np.sort(np.array(list(of), "S16"))


def _is_in(known: np.ndarray, name: str) -> bool:
    wanted = np.array(digest(name), "S16")
    place = int(np.searchsorted(known, wanted))
    return place < len(known) and bool(known[place] == wanted)


def _of_file(row: dict[str, Any], prefix: str) -> Iterator[tuple[str, bytes]]:
    yield prefix + row["path"], row["bytes"]


def _of_sample(row: dict[str, Any], prefix: str) -> Iterator[tuple[str, bytes]]:
    """The members of a WebDataset's sample, named as files of an archive are."""
    for suffix, data in row.items():
        if isinstance(data, bytes):
            yield f"{prefix}{row['__url__']}/{row['__key__']}.{suffix}", data


def _of_table(row: dict[str, Any], prefix: str) -> Iterator[tuple[str, bytes]]:
    """The image of a row, by its name; where it has none by its file and a digest of its bytes.

    So equal images of a file without names are one image, named more than once. Ray does not tell a row's
    number, nor the file where the table has a column "path": then the digest stands alone.
    """
    data = next(row[name] for name in IMAGE_COLUMNS if name in row)
    name = next((row[name] for name in NAME_COLUMNS if name in row), None)
    if isinstance(data, dict):
        name, data = data.get("path") if name in (None, "") else name, data.get("bytes")
    data = data or b""
    if name in (None, ""):
        file = f"{prefix}{row[FILE]}/" if FILE in row else ""
        name = file + hashlib.blake2b(data, digest_size=16).hexdigest()
    yield str(name), data


_UNPACK = {"read_binary_files": _of_file, "read_webdataset": _of_sample, "read_parquet": _of_table}


def _columns(path: str, system: Any) -> tuple[str, ...]:
    """The columns of a Parquet file that hold images and names."""
    from pyarrow import parquet

    try:
        schema = parquet.read_schema(path, filesystem=system)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: is no Parquet file that can be read ({error}).") from None
    image = next((name for name in IMAGE_COLUMNS if name in schema.names), None)
    name = next((name for name in NAME_COLUMNS if name in schema.names), None)
    if image is None or (name is None and "struct" not in str(schema.field(image).type)):
        raise UserError(
            f"{path}: of the columns {', '.join(schema.names)} none is known to hold images "
            f"({', '.join(IMAGE_COLUMNS)}), or none names ({', '.join(NAME_COLUMNS)})."
        )
    return (image,) if name is None else (image, name)
