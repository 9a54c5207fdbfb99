"""The pages in a real browser, served by the commands that people run."""

import contextlib
import http.client
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import browser
import pytest
import runs
from playwright.sync_api import expect, sync_playwright
from processes import ended
from toys import Hexapawn

from selfplay.games.registry import load_rules
from selfplay.monitor.games import GameShelf
from selfplay.network.checkpoint import save_checkpoint, untrained
from selfplay.rundir.event_types import Played, Rejected, Trained
from selfplay.rundir.events import EventLog, EventReader
from selfplay.rundir.layout import RunLayout
from selfplay.samples.batch_file import read_batch
from selfplay.settings import GameSettings, NetworkSettings, Settings

SELFPLAY = Path(sys.executable).with_name("selfplay")
TOYS = Path(__file__).parents[1] / "toys.py"
SLOW = 30_000  # ms; how long a busy machine may take
expect.set_options(timeout=SLOW)
pytestmark = pytest.mark.skipif(browser.path() is None, reason=browser.MISSING)


@pytest.fixture(scope="module")
def chromium():
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser.path(), args=browser.ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(chromium):
    """A fresh page; whatever it complained of, or asked of another host, fails the test."""
    context = chromium.new_context(viewport={"width": 1200, "height": 900})
    context.set_default_timeout(SLOW)
    page = context.new_page()
    watched = browser.Watched(page)
    yield page
    context.close()
    assert not watched.complaints


@pytest.fixture(scope="module")
def monitor(finished_run):
    with browser.serving(
        SELFPLAY, "monitor", "data", "--web", "--port", "0", "--interval", "0.5", cwd=finished_run
    ) as address:
        yield address


def chart(page, name):
    """What a chart of the dashboard draws: its series by name."""
    page.wait_for_selector(f'[data-name="{name}"] canvas')
    options = page.evaluate(
        f"""getElement(document.querySelector('[data-name="{name}"]').id.slice(1)).chart.getOption()"""
    )
    return {series["name"]: series["data"] for series in options["series"]}


def cell(page, row, column):
    return page.locator(f'g[data-cell="{row},{column}"]')


def status(page):
    return page.get_by_role("status")


def moves_shown(page):
    """Names of the moves on a board of tic-tac-toe that rests, from the address, which follows the picture."""
    stones = page.locator("circle.stone").count()
    page.wait_for_url(re.compile("moves=" + ",".join([r"\d"] * stones) + "&"))
    return parse_qs(urlsplit(page.url).query)["moves"][0].split(",")


def test_the_dashboard_of_a_running_training_updates_by_itself(page, tmp_path):
    with ended(
        subprocess.Popen(
            list(map(str, runs.command([*runs.TICTACTOE, "--workers", "1"], tmp_path))), stdout=subprocess.DEVNULL
        )
    ) as training:
        runs.wait_for((tmp_path / "data" / "run.toml").exists)
        command = (SELFPLAY, "monitor", "data", "--web", "--port", "0", "--interval", "0.3")
        with browser.serving(*command, cwd=tmp_path) as address:
            page.goto(address)
            page.evaluate("window.loadedOnce = true")
            expect(page.locator('[data-name="newest model"]')).to_have_text("round 3 of 3")
            expect(status(page)).to_contain_text("not running")
            assert training.wait(60) == 0
            expect(page.get_by_role("log")).to_contain_text("stopped: finished")
            assert page.evaluate("window.loadedOnce"), "it updated by itself"
            events = list(EventReader(tmp_path / "data" / "events.jsonl"))
            trained = [event for event in events if isinstance(event, Trained)]
            played = [event for event in events if isinstance(event, Played)]
            losses, length = chart(page, "losses"), chart(page, "length")
            assert [x for x, _ in losses["policy loss"]] == [1, 2, 3]
            assert [y for _, y in losses["policy loss"]] == pytest.approx([e.policy for e in trained], rel=1e-4)
            assert [y for _, y in losses["value loss"]] == pytest.approx([e.value for e in trained], rel=1e-4)
            assert [y for _, y in length["plies"]] == pytest.approx([e.plies / 60 for e in played], rel=1e-4)
            expect(page.get_by_role("table")).to_contain_text("worker_0")


def test_a_whole_game_is_played_by_clicking(page, monitor, finished_run):
    page.goto(f"{monitor}play")
    expect(status(page)).to_have_text("Your move.")
    cell(page, 1, 1).click()
    expect(page.locator("circle.stone")).to_have_count(2)
    cell(page, 1, 1).click()
    expect(page.get_by_role("alert")).to_have_text("Row 2, column 2 is taken.")
    assert page.locator("circle.stone").count() == 2
    rules = load_rules("tictactoe")
    while "Your move." in status(page).inner_text():
        moves = [rules.find_action(name) for name in moves_shown(page)]
        _, known = rules.replay(moves)
        free = int(known.legal[-1].argmax())
        cell(page, *divmod(free, 3)).click()
        stones = min(9, len(moves) + 2)
        page.wait_for_function(
            "(stones) => document.querySelectorAll('circle.stone').length >= stones"
            " || !document.querySelector('[role=status]').innerText.match('Your move|thinks')",
            arg=stones,
        )
        expect(status(page)).not_to_contain_text("thinks")
    _, known = rules.replay([rules.find_action(name) for name in moves_shown(page)])
    outcome, mover = int(known.outcomes[-1]), int(known.to_move[-2])
    expected = "A draw." if outcome == 0 else ("You won." if mover == 0 else "The agent won.")
    assert outcome in (0, 1)
    expect(status(page)).to_have_text(expected)
    cell(page, 0, 0).click()
    expect(page.get_by_role("alert")).to_contain_text("The game is over")
    page.reload()
    expect(status(page)).to_have_text(expected)


def test_hints_take_back_and_thoughts(page, monitor):
    page.goto(f"{monitor}play?moves=1,2,5&side=second")
    expect(status(page)).to_have_text("Your move.")
    page.get_by_role("button", name="Hint").click()
    expect(status(page)).to_contain_text("It would play")
    expect(page.locator('[data-name="opinion"]')).to_contain_text("expects")
    assert page.locator("rect.heat").count() > 0
    shares = page.locator('[data-name="outlook"]').get_attribute("aria-label")
    figures = [int(part.strip(" ,%").split()[-1]) for part in shares.split("%")[:3]]
    assert sum(figures) == pytest.approx(100, abs=2), shares
    cell(page, 2, 2).click()
    expect(page.locator("circle.stone")).to_have_count(5)
    page.get_by_role("button", name="Take back").click()
    expect(page.locator("circle.stone")).to_have_count(3)
    page.get_by_text("show what it thinks").click()
    expect(page.locator("rect.heat").first).to_be_visible()


def test_the_keyboard_plays_too(page, monitor):
    page.goto(f"{monitor}play")
    expect(status(page)).to_have_text("Your move.")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    expect(page.locator("rect.cursor")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page.locator("circle.stone")).to_have_count(2)
    assert moves_shown(page)[0] == "2", "one up from the middle"
    page.get_by_label("type a move").fill("nonsense")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("'nonsense' is not a move here; you may play")


def test_the_agent_plays_both_sides_and_a_person_changes_sides(page, monitor):
    page.goto(f"{monitor}play?side=none&moves=5,1,9")
    expect(status(page)).to_have_text(re.compile("won|draw"))
    page.goto(f"{monitor}play?side=second")
    expect(page.locator("circle.stone.first")).to_have_count(1)
    expect(status(page)).to_have_text("Your move.")


def test_a_new_game_in_the_middle_of_a_thought_is_begun_by_the_agent(page, monitor):
    page.goto(f"{monitor}play?side=second&simulations=3200")
    for _ in range(3):
        page.get_by_role("button", name="New game").click()
    expect(status(page)).to_have_text("Your move.")
    expect(page.locator("circle.stone")).to_have_count(1)
    page.get_by_role("combobox", name="side").click()
    page.get_by_role("option", name="the agent plays both").click()
    page.get_by_role("button", name="New game").click()
    page.get_by_role("button", name="New game").click()
    expect(status(page)).to_have_text(re.compile("won|draw"))
    names = moves_shown(page)
    assert "side=none" in page.url
    assert len(set(names)) == len(names)


def test_a_newer_model_is_noticed(page, finished_run, tmp_path):
    shutil.copytree(finished_run / "data", tmp_path / "data")
    layout = RunLayout(tmp_path / "data")
    with browser.serving(SELFPLAY, "monitor", "data", "--web", "--port", "0", cwd=tmp_path) as address:
        page.goto(f"{address}play")
        expect(page.locator('[data-name="agent"]')).to_contain_text("(round 3)")
        for ending in (".onnx", ".pt"):
            shutil.copy(layout.model(2).with_suffix(ending), layout.model(4).with_suffix(ending))
        expect(page.get_by_text("The agent is now the model of round 2.")).to_be_visible()
        expect(page.locator('[data-name="agent"]')).to_contain_text("(round 2)")


def test_a_recorded_game_is_stepped_through(page, monitor, finished_run):
    batch = read_batch(RunLayout(finished_run / "data").batch_files()[0])
    game = GameShelf(finished_run / "data").open(batch.round, batch.games[3].number).game
    page.goto(f"{monitor}games?round={game.round}&game={game.number}")
    expect(status(page)).to_contain_text("Ply 1, first player")
    heat = page.locator("rect.heat")
    assert heat.count() == sum(share > 0 for share in game.plies[0].heat.values())
    page.keyboard.press("ArrowRight")
    expect(status(page)).to_contain_text("Ply 2, second player")
    expect(page.locator("circle.stone")).to_have_count(1)
    page.keyboard.press("End")
    expect(status(page)).to_contain_text("The end after")
    expect(page.locator("circle.stone")).to_have_count(len(game.plies) - 1)
    page.get_by_role("list", name="moves").get_by_role("button").nth(2).click()
    expect(status(page)).to_contain_text("Ply 3")
    expected = 2
    if game.blunders:
        page.get_by_role("button", name="next blunder").click()
        expect(status(page)).to_contain_text("A blunder")
        expected = next((ply for ply in game.blunders if ply > 2), game.blunders[0])
    page.wait_for_url(re.compile(rf"&ply={expected}$"))


def test_pages_that_do_not_exist_say_what_does(page, monitor):
    page.goto(f"{monitor}games?round=99")
    expect(page.get_by_role("alert")).to_contain_text("round 99 has no games; there are rounds 1 to 3")
    page.goto(f"{monitor}games?round=1&game=5000")
    expect(page.get_by_role("alert")).to_contain_text("has no game 5000")
    page.goto(f"{monitor}play?model=round 77")
    expect(page.get_by_role("alert")).to_contain_text("there is no model 'round 77'; there are rounds 0 to 3")
    page.goto(f"{monitor}play?moves=1,1")
    expect(page.get_by_role("alert")).to_contain_text("not legal")


def test_pieces_are_moved_from_one_cell_to_another(page, tmp_path):
    spec = f"{TOYS}:{Hexapawn.__name__}"
    settings = Settings(game=GameSettings(name=spec), network=NetworkSettings(blocks=1, channels=8))
    save_checkpoint(untrained(load_rules(spec).info, settings), tmp_path / "model.pt")
    command = (SELFPLAY, "play", "model.pt", "--web", "--port", "0", "--moves", "b1b2,a3b2", "--simulations", "25")
    with browser.serving(*command, cwd=tmp_path) as address:
        page.goto(address)
        expect(page.get_by_label("moves so far")).to_have_text("b1b2 a3b2")
        expect(page.get_by_role("combobox", name="strength")).to_have_value("25 simulations")
        page.get_by_role("button", name="New game").click()
        expect(status(page)).to_have_text("Your move.")
        cell(page, 0, 1).click()
        expect(page.get_by_role("alert")).to_have_text("No move begins at row 1, column 2.")
        cell(page, 2, 1).click()
        expect(page.locator("rect.chosen")).to_have_count(2)
        cell(page, 0, 1).click()
        expect(page.get_by_role("alert")).to_have_text("That piece cannot go there.")
        cell(page, 1, 1).click()
        page.wait_for_url(re.compile("moves=b1b2,"))  # the move, and the answer


@pytest.mark.parametrize("path", ["", "games", "play"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_a_phone_in_light_and_dark(chromium, monitor, path, scheme):
    context = chromium.new_context(viewport={"width": 360, "height": 740}, color_scheme=scheme)
    page = context.new_page()
    page.goto(f"{monitor}{path}")
    expect(status(page).first).not_to_have_text("")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    is_dark = page.locator("body.body--dark").count() == 1
    assert is_dark == (scheme == "dark")
    context.close()


def test_the_chosen_theme_is_remembered(page, monitor):
    page.goto(monitor)
    page.get_by_label("light or dark").click()
    expect(page.locator("body.body--dark")).to_have_count(1)
    page.goto(f"{monitor}games")
    expect(page.locator("body.body--dark")).to_have_count(1)


def answer(address, path="/", **headers):
    place = urlsplit(address)
    with contextlib.closing(http.client.HTTPConnection(place.hostname, place.port, timeout=30)) as connection:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read().decode(errors="replace")


def test_other_sites_and_host_names_are_refused(monitor):
    assert answer(monitor)[0] == 200
    assert answer(monitor, Host="evil.example")[0] == 421
    assert answer(monitor, Origin="http://evil.example")[0] == 403
    socket = "/_nicegui_ws/socket.io/?EIO=4&transport=polling"
    assert answer(monitor, socket)[0] == 200
    assert answer(monitor, socket, Origin="http://evil.example")[0] == 403


def test_metrics_are_served(monitor):
    code, text = answer(monitor, "/metrics")
    assert code == 200
    assert "selfplay_round 3.0" in text
    assert 'selfplay_worker_batch_files{worker="worker_0"}' in text


def test_off_this_machine_everybody_needs_the_token(finished_run):
    command = (SELFPLAY, "monitor", "data", "--web", "--host", "127.0.0.2", "--port", "0")
    with browser.serving(*command, cwd=finished_run) as address:
        token = parse_qs(urlsplit(address).query)["token"][0]
        assert answer(address)[0] == 401
        assert answer(address, "/metrics")[0] == 401
        assert answer(address, "/metrics", Authorization=f"Bearer {token}")[0] == 200


def test_the_login_page_takes_the_token(chromium, finished_run):
    command = (SELFPLAY, "monitor", "data", "--web", "--host", "127.0.0.2", "--port", "0")
    with browser.serving(*command, cwd=finished_run) as address:
        token = parse_qs(urlsplit(address).query)["token"][0]
        context = chromium.new_context()
        page = context.new_page()
        page.goto(address.partition("?")[0])
        page.get_by_label("Token").fill(token)
        page.get_by_role("button").click()
        expect(status(page)).to_contain_text("not running")
        assert "token" not in page.url
        context.close()


def test_a_browser_that_vanishes_or_sleeps_holds_nobody_up(chromium, page, finished_run, tmp_path):
    shutil.copytree(finished_run / "data", tmp_path / "data")
    command = (SELFPLAY, "monitor", "data", "--web", "--port", "0", "--interval", "0.2")
    with browser.serving(*command, cwd=tmp_path) as address, contextlib.closing(chromium.new_context()) as other:
        sleeping = other.new_page()
        sleeping.goto(address)
        expect(status(sleeping)).to_contain_text("not running")
        sleeping.context.set_offline(True)
        vanishing = other.new_page()
        page.goto(address)
        vanishing.close(run_before_unload=False)
        EventLog(RunLayout(tmp_path / "data").events).add(Rejected(file="a.json", reason="torn"))
        expect(page.get_by_role("log")).to_contain_text("a.json went to quarantine: torn")


def test_a_taken_port_is_said(finished_run, monitor):
    port = urlsplit(monitor).port
    done = subprocess.run(
        [SELFPLAY, "monitor", "data", "--web", "--port", str(port)],
        cwd=finished_run,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "choose another with --port, 0 = any" in done.stderr
    assert json.dumps(done.stderr).count("\\n") == 1
