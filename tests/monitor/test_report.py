"""Reports of a made-up run: every number of it is known."""

import html.parser
import io
import math
import re
import struct
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from PIL import Image

from selfplay.config import to_toml
from selfplay.errors import UsageError
from selfplay.monitor.figures import as_bytes, draw
from selfplay.monitor.plots import PLOTS, plots
from selfplay.monitor.report import page
from selfplay.monitor.snapshot import Reader
from selfplay.rundir.event_types import Match, Mistakes, Played, Progress, Rejected, Started, Trained
from selfplay.rundir.layout import RunLayout
from selfplay.settings import Settings

WITHOUT_WORKERS = PLOTS.keys() - {"workers_simulations", "workers_games"}  # nobody is at work
SELFPLAY = Path(sys.executable).with_name("selfplay")


@pytest.fixture
def run(tmp_path):
    """Three rounds of ten seconds, of which four were play and three training."""
    layout = RunLayout(tmp_path / "data")
    layout.models.mkdir(parents=True)
    layout.settings.write_text(to_toml(Settings(), heading="<b>heading</b>"))
    events = [Started(workers=2, rounds=3)]
    for number in (1, 2, 3):
        now = 1000.0 + 10.0 * number
        events += [
            Progress(time=now, round=number, phase="playing", games_per_second=5.0, simulations_per_second=100 * number),
            Played(
                time=now + 4, round=number, games=10, first_won=number, drawn=1, second_won=9 - number,
                plies=200 + number, seconds=4.0, hit_share=0.1 * number,
            ),
            Trained(
                time=now + 7, round=number, fingerprint=f"{number}" * 64, policy=2.0 / number, value=0.9,
                policy_floor=0.5, future=0.6 - 0.1 * number, window=1000 * number, seconds=3.0,
            ),
        ]  # fmt: skip
    events.append(Match(round=3, against="<i>random</i>", score=0.9, low=0.8, high=0.95, games=20))
    events.append(Mistakes(round=3, positions="endgames", share=0.03, low=0.02, high=0.05, count=1000))
    events.append(Rejected(file="x.json", reason="<script>alert(1)</script>"))
    layout.events.write_bytes(b"".join(msgspec.json.encode(event) + b"\n" for event in events))
    return layout


def lines_of(figure):
    (axes,) = figure.axes
    return {line.get_label(): line.get_ydata().tolist() for line in axes.lines}


def test_figures_hold_the_runs_numbers(run):
    figures = draw(Reader(run.root).look())
    assert figures.keys() == WITHOUT_WORKERS
    losses = lines_of(figures["losses"])
    assert losses["policy loss"] == pytest.approx([2.0, 1.0, 2 / 3])
    assert losses["its floor (entropy)"] == [0.5] * 3
    assert losses["board at the end, per cell"] == pytest.approx([0.5, 0.4, 0.3])
    (length,) = lines_of(figures["length"]).values()
    assert length == pytest.approx([20.1, 20.2, 20.3])
    (pace,) = lines_of(figures["simulations"]).values()
    assert pace == [100, 200, 300]
    layers = [area.get_paths()[0].vertices[:, 1].max() for area in figures["time"].axes[0].collections]
    assert layers == pytest.approx([4.0, 7.0, 10.0]), "playing, training, and the rest up to the ten seconds of a round"


def test_ratings_have_error_bars_and_baselines_are_levels(run):
    curve, level = plots(Reader(run.root).look())["rating"].lines
    assert (curve.name, level.name) == ("this run", "<i>random</i>")
    with_a_drawn_game_more = 18.5 / 2.5
    assert (curve.x, curve.y) == ([3], pytest.approx([400 * math.log10(with_a_drawn_game_more)], abs=0.1))
    assert curve.low[0] < curve.y[0] < curve.high[0]
    assert level.y == [0, 0]


def test_figures_without_numbers_are_left_out(run):
    run.events.unlink()
    assert draw(Reader(run.root).look()) == {}


@pytest.mark.parametrize("kind", ["svg", "png"])
def test_equal_figures_give_equal_bytes(run, kind):
    first, second = (as_bytes(draw(Reader(run.root).look())["losses"], kind) for _ in range(2))
    assert first == second


class Tags(html.parser.HTMLParser):
    """Which tags a page has, and what they refer to."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.references = set(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.references += [value for name, value in attributes if name in ("src", "href", "xlink:href")]


def test_the_page_needs_nothing_else_and_runs_nothing(run):
    text = page(Reader(run.root).look())
    parsed = Tags(text)
    assert "script" not in parsed.tags
    assert "i" not in parsed.tags
    assert all(reference.startswith("#") for reference in parsed.references)
    assert len(re.findall("<svg", text)) == len(WITHOUT_WORKERS)
    for part in (
        "&lt;script&gt;alert(1)",
        "&lt;i&gt;random&lt;/i&gt;",
        "<td>0.667</td>",
        "333333333333",
        "games_per_round",
    ):
        assert part in text


def test_the_command_writes_a_page_and_pictures(run, tmp_path):
    for arguments in (["-o", "r.html"], ["--png", "figures"]):
        subprocess.run([SELFPLAY, "report", run.root, *arguments], cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "r.html").read_text().startswith("<!doctype html>")
    assert not (tmp_path / "report.html").exists()
    assert sorted(path.stem for path in (tmp_path / "figures").iterdir()) == sorted(WITHOUT_WORKERS)
    with Image.open(io.BytesIO((tmp_path / "figures" / "losses.png").read_bytes())) as picture:
        assert picture.width > 1000


def test_scalars_are_what_tensorboard_reads(run, tmp_path):
    """tensorboardX writes a length, its checksum, a protobuf event, and another checksum, again and again."""
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import masked_crc32c

    subprocess.run([SELFPLAY, "report", run.root, "--tensorboard", tmp_path / "tb"], check=True, capture_output=True)
    (path,) = (tmp_path / "tb").iterdir()
    content, found = path.read_bytes(), {}
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        assert struct.unpack("<I", content[8:12]) == (masked_crc32c(content[:8]),)
        event = Event.FromString(content[12 : 12 + length])
        found |= {(value.tag, event.step): value.simple_value for value in event.summary.value}
        content = content[16 + length :]
    assert found["loss/policy", 2] == 1.0
    assert found["games/drawn", 3] == pytest.approx(0.1)
    assert found["play/simulations_per_second", 1] == 0.0
    assert found["mistakes/endgames", 3] == pytest.approx(0.03)
    assert found["loss/future", 3] == pytest.approx(0.3)
    assert len(found) == 3 * 7 + 3 * 8 + 3
    assert not (tmp_path / "report.html").exists()


def test_without_matplotlib_it_says_what_to_install(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(UsageError, match=r"pip install 'selfplay\[report\]'"):
        draw(Reader(run.root).look())


def test_metrics_are_what_prometheus_reads(run):
    from prometheus_client.parser import text_string_to_metric_families

    from selfplay.monitor.metrics import metrics_text

    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(metrics_text(Reader(run.root).look()).decode())
        for sample in family.samples
    }
    assert found["selfplay_rounds_goal",] == 3
    assert found["selfplay_games",] == 30
    assert found["selfplay_policy_loss",] == pytest.approx(2 / 3)
    assert found["selfplay_simulations_per_second",] == 300
    assert found["selfplay_running",] == 0
    assert found["selfplay_child_restarts_total",] == 0
    assert found["selfplay_match_score", "<i>random</i>"] == 0.9
    assert found["selfplay_run_info", str(run.root), "connect4"] == 1
