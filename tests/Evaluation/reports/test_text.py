"""What a result looks like on the terminal and in a table."""

import csv
import json

import pytest

from datasets.rated.sets import RatedImage, RatedSet
from Evaluation.reports.text import check_output, collect, publish, ranking_lines
from Evaluation.zeroshot import ScoreRow, Status
from utils.errors import UserError


def row(name, q_low, notes=()):
    return ScoreRow(name, 96, 200, q_low, None, None, None, Status(notes))


def test_the_ranking_is_best_first_and_leaves_out_what_has_no_score():
    broken = ScoreRow("broken.png", None, None, None, None, None, None, Status(reason="is not an image."))
    rows = [row(f"{n}.png", (n + 1) / 100) for n in range(4)]
    lines = ranking_lines([*rows, broken, row("small.png", 0.035, ("enlarged to 216x144",))], 20)[1:]
    assert [line.split()[2] for line in lines] == ["3.png", "small.png,", "2.png", "1.png", "0.png"]
    assert lines[1] == "0.0350       96x200  small.png, enlarged to 216x144"


def test_a_long_ranking_keeps_both_ends():
    rows = [row(f"{n}.png", (n + 1) / 100) for n in range(30)]
    lines = ranking_lines(rows, 20)[1:]
    assert len(lines) == 21
    assert lines[10] == "... 10 more ..."
    assert lines[0].endswith("29.png") and lines[-1].endswith(" 0.png")
    assert len(ranking_lines(rows[:20], 20)) == 21


@pytest.fixture
def rated(tmp_path):
    names = ("0.png", b"caf\xe9.png".decode("utf-8", "surrogateescape"), "gone.png")
    return RatedSet("mine", tuple(RatedImage(name, tmp_path / name, 1.5) for name in names))


def test_tables_hold_every_row_and_keep_names_that_are_not_utf8(make_model, rated, tmp_path, capsys):
    model = make_model()
    first = row(rated.images[1].name, 0.25)
    gone = ScoreRow("gone.png", None, None, None, None, None, 1.5, Status(reason="there is no such file."))
    for suffix in ("csv", "json"):
        assert publish(model, rated, [first, gone], True, tmp_path / f"t.{suffix}") == 1
        assert not list(tmp_path.glob("*.part"))
    header, line, failed = (tmp_path / "t.csv").read_bytes().splitlines()
    assert header == b"image,width,height,q_low,q_high,q,mos,status"
    assert line == b"caf\xe9.png,96,200,0.25,,,,ok"
    assert next(csv.reader([failed.decode()]))[-1] == "there is no such file."
    result = json.loads((tmp_path / "t.json").read_text())
    assert (result["score"], result["complete"]) == ("GRepQ (paper)", True)
    assert [one["status"] for one in result["images"]] == ["ok", "there is no such file."]
    assert "Not scored: gone.png: there is no such file." in capsys.readouterr().err


def test_a_full_disk_does_not_cost_the_scores(make_model, rated, tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device", "t.csv")

    monkeypatch.setattr("Evaluation.reports.tables.write_text", full)
    with pytest.raises(OSError, match="No space"):
        publish(make_model(), rated, [row("0.png", 0.25)], True, tmp_path / "t.csv")
    assert "0.png,96,200,0.25,,,,ok" in capsys.readouterr().out


def test_an_interrupt_keeps_the_rows(make_model, rated, tmp_path, monkeypatch, capsys):
    model = make_model()

    def interrupted(images):
        yield row(images[0].name, 0.25)
        raise KeyboardInterrupt

    monkeypatch.setattr(model, "score_images", interrupted)
    rows, complete = collect(model, rated.images)
    assert ([one.image for one in rows], complete) == (["0.png"], False)
    assert publish(model, rated, rows, complete, tmp_path / "t.csv") == 130
    assert "Interrupted: 1 of 3 rows are in" in capsys.readouterr().err
    assert len((tmp_path / "t.csv").read_text().splitlines()) == 2


@pytest.mark.parametrize("name, reason", [("t.txt", "written as .csv"), ("gone/t.csv", "no folder")])
def test_a_table_that_cannot_be_written_is_said_before_the_scores(tmp_path, name, reason):
    with pytest.raises(UserError, match=reason):
        check_output(tmp_path / name)
