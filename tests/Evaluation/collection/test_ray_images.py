"""What Ray is asked to read, and the images of what it gives, without a cluster."""

from types import SimpleNamespace

import pytest
from PIL import Image

from datasets.collection import find_images
from Evaluation.collection.ray_images import digest, digests, find, unpacked
from utils.errors import UserError

pa = pytest.importorskip("pyarrow", reason="an optional package")
parquet = pytest.importorskip("pyarrow.parquet", reason="an optional package")


class Read:
    """A data set as Ray reads it, in blocks of some rows."""

    def __init__(self, tables, rows):
        self.tables, self.rows = tables, rows

    def map_batches(self, pack, **_):
        blocks = [table.slice(k, self.rows) for table in self.tables for k in range(0, len(table), self.rows)]
        return [image.path for block in blocks for image in unpacked(pack(block))]


def images_of(arguments, rows=100, known=()):
    """The images of Parquet files and addresses, without those that are known by name."""

    def read_parquet(paths, columns, include_paths, **_):
        tables = []
        for path in paths:
            table = parquet.read_table(path, columns=columns)
            if include_paths:
                assert "path" not in columns
                table = table.append_column("path", pa.array([path] * len(table)))
            tables.append(table)
        return Read(tables, rows)

    def read_binary_files(paths, filesystem, **_):
        contents = [filesystem.open_input_file(path).read() for path in paths]
        return Read([pa.table({"bytes": contents, "path": paths})], rows)

    data = SimpleNamespace(read_parquet=read_parquet, read_binary_files=read_binary_files)
    ray = SimpleNamespace(get=lambda value: value, data=data)
    there = digests(map(digest, known))
    return [image for source in find(arguments, []).sources for image in source.dataset(ray, there)]


def write(path, contents, names):
    cells = [{"bytes": one, "path": name} for one, name in zip(contents, names, strict=True)]
    parquet.write_table(pa.table({"image": cells}), path)
    return str(path)


def test_rows_without_names_are_all_there_and_called_the_same_later(tmp_path):
    contents = [b"image %d" % k for k in range(6)]
    files = [write(tmp_path / f"{name}.parquet", contents, [None] * 6) for name in "ab"]
    images = images_of(files)
    names = [image.name for image in images]
    assert [image.data for image in images] == contents * 2 and all(image.is_image for image in images)
    assert len(set(names)) == 12
    for file, of_it in zip(files, (names[:6], names[6:]), strict=True):
        assert all(name.startswith(f"{file}/") for name in of_it)
    later = images_of(files, rows=4, known=names[1:4])
    assert [image.name for image in later] == [names[0], *names[4:]]


def test_a_name_is_made_only_where_there_is_none(tmp_path):
    names = ["x.jpg", None, "", "y.jpg", None]
    file = write(tmp_path / "a.parquet", [b"0", b"1", b"2", b"3", b"1"], names)
    found = [image.name for image in images_of([file])]
    assert (found[0], found[3]) == ("x.jpg", "y.jpg")
    assert found[1] == found[4] != found[2]  # equal bytes are one image
    assert all(found[k].startswith(f"{file}/") for k in (1, 2, 4))
    table = pa.table({"bytes": [b"0", b"1", b"2"], "image_id": [0, None, 2]})
    parquet.write_table(table, file)
    assert [image.name for image in images_of([file])] == ["0", found[1], "2"]
    parquet.write_table(table.rename_columns(["bytes", "path"]), file)
    assert [image.name for image in images_of([file])] == ["0", found[1].removeprefix(f"{file}/"), "2"]


def test_of_an_address_the_same_files_are_images_as_of_a_folder(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "photo", "JPEG")
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.jpg").write_text("a text")
    images = images_of([tmp_path.as_uri()])
    found = find_images([str(tmp_path)])
    assert [image.name for image in images if image.is_image] == [one.name for one in found.images]
    assert len(found.images) == 1 and len(images) == 1 + found.others == 3
    [named] = images_of([(tmp_path / "text.jpg").as_uri()])
    assert named.is_image


def test_a_folder_of_parquet_files_alone_says_how_they_are_named(tmp_path):
    (tmp_path / "below").mkdir()
    write(tmp_path / "below" / "a.parquet", [b"0"], ["x.jpg"])
    pattern = f"{tmp_path / 'below'}/*.parquet"
    with pytest.raises(UserError, match="holds no image, but 1 other file") as error:
        find([str(tmp_path)], [])
    assert str(error.value).endswith(f'; name the Parquet files themselves, "{pattern}".')
    assert len(images_of([pattern])) == 1
