"""What a result looks like on the terminal."""

from Evaluation.reports.text import ranking_lines, write_table
from Evaluation.zeroshot import ScoreRow


def rows(count):
    return [ScoreRow(f"{n}.png", 96, 200, (n + 1) / 100, None, None, None, "ok") for n in range(count)]


def test_the_ranking_is_best_first_and_leaves_out_what_has_no_score():
    broken = ScoreRow("broken.png", None, None, None, None, None, None, "is not a picture.")
    enlarged = ScoreRow("small.png", 90, 60, 0.035, None, None, None, "ok, enlarged to 216x144")
    lines = ranking_lines([*rows(4), broken, enlarged], 20)[1:]
    assert [line.split()[2] for line in lines] == ["3.png", "small.png,", "2.png", "1.png", "0.png"]
    assert lines[1] == "0.0350        90x60  small.png, enlarged to 216x144"


def test_a_long_ranking_keeps_both_ends():
    lines = ranking_lines(rows(30), 20)[1:]
    assert len(lines) == 21
    assert lines[10] == "... 10 more ..."
    assert lines[0].endswith("29.png")
    assert lines[-1].endswith(" 0.png")
    assert len(ranking_lines(rows(20), 20)) == 21


def test_a_name_that_is_not_utf8_keeps_its_bytes(tmp_path):
    name = b"caf\xe9.png".decode("utf-8", "surrogateescape")
    write_table(tmp_path / "t.csv", [ScoreRow(name, 96, 96, 0.25, None, None, None, "ok")], {})
    assert b"caf\xe9.png,96,96,0.25" in (tmp_path / "t.csv").read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]
