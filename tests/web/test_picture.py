"""Boards as SVG."""

import xml.etree.ElementTree as ElementTree

import pytest

from selfplay.games.board import KINDS, Board
from selfplay.web.picture import Marks, board_svg

SVG = "{http://www.w3.org/2000/svg}"


def drawn(rows, kind="squares", **marks):
    text = board_svg(Board(kind, tuple(rows), {}), Marks(**marks), label="a <board> & more")
    return ElementTree.fromstring(text)


def of_class(picture, name):
    return [element for element in picture.iter() if name in element.get("class", "").split()]


@pytest.mark.parametrize("kind", KINDS)
def test_every_cell_can_be_told_and_stones_stand_where_they_should(kind):
    picture = drawn(["X.O", ".X "], kind)
    cells = {group.get("data-cell"): group for group in picture.iter(f"{SVG}g")}
    assert set(cells) == {"0,0", "0,1", "0,2", "1,0", "1,1"}, "a hole is no cell"
    stones = {name: [s.get("class") for s in of_class(group, "stone")] for name, group in cells.items()}
    assert stones == {"0,0": ["stone first"], "0,1": [], "0,2": ["stone second"], "1,0": [], "1,1": ["stone first"]}
    assert picture.get("aria-label") == "a <board> & more"
    assert picture.get("role") == "img"


def test_everything_lies_inside_the_picture():
    for kind in KINDS:
        picture = drawn(["XO", "XO", "XO"], kind)
        _, _, width, height = map(float, picture.get("viewBox").split())
        for stone in of_class(picture, "stone"):
            x, y, radius = (float(stone.get(name)) for name in ("cx", "cy", "r"))
            assert radius <= x <= width - radius
            assert radius <= y <= height - radius


def test_each_row_of_hexagons_begins_half_a_cell_further_right():
    first, second = of_class(drawn(["X.", "X."], "hexagons"), "stone")
    assert float(second.get("cx")) - float(first.get("cx")) == pytest.approx(20)


def test_heat_is_as_strong_as_its_share_and_written_on_free_cells():
    picture = drawn(["X..."], heat={(0, 0): 0.2, (0, 1): 0.6, (0, 2): 0.2, (0, 3): 0.0})
    strengths = [float(element.get("fill-opacity")) for element in of_class(picture, "heat")]
    assert strengths == pytest.approx([0.85 * 0.6, 0.85 * 0.2])
    assert [element.text for element in of_class(picture, "share")] == ["60%", "20%"]


def test_marks_are_drawn():
    picture = drawn(
        ["X.", ".O"], last=[(1, 1)], chosen=[(0, 0)], cursor=(0, 1), arrows=[((0, 0), (1, 0))], names={0: "a<"}
    )
    assert len(of_class(picture, "last")) == len(of_class(picture, "chosen")) == len(of_class(picture, "cursor")) == 1
    (arrow,) = of_class(picture, "arrow")
    assert [arrow.get(name) for name in ("x1", "y1", "x2", "y2")] == ["20", "20", "20", "60"]
    assert [element.text for element in of_class(picture, "name")] == ["a<"]


def test_lines_of_crossings_end_at_the_edge():
    picture = drawn(["X..", "..."], "crossings")
    paths = [element.get("d") for element in of_class(picture, "grid")]
    assert [path.count("l") for path in paths] == [2, 3, 2, 2, 3, 2]


def test_chequered_boards_have_dark_cells_and_glyphs():
    picture = drawn(["Kk", ".X"], "chequered")
    assert len(of_class(picture, "dark")) == 2
    assert [(e.text, e.get("class")) for e in of_class(picture, "glyph")] == [
        ("♚", "piece glyph first"),
        ("♚", "piece glyph second"),
    ]
    assert len(of_class(picture, "stone")) == 1


def test_other_pieces_are_letters_of_their_owner():
    picture = drawn(["Kk", "<&"])
    assert [(e.text, e.get("class")) for e in of_class(picture, "piece")] == [
        ("K", "piece first"),
        ("k", "piece second"),
        ("<", "piece first"),
        ("&", "piece first"),
    ]
