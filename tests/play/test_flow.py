"""The flow of a game, with an agent that answers when the test says so."""

import asyncio

from selfplay.errors import ModelError
from selfplay.evaluation.uniform import UniformEvaluator
from selfplay.play.agent import Agent
from selfplay.play.flow import Flow
from selfplay.play.session import Session


class Thinker:
    """Holds thoughts back until they are let go."""

    def __init__(self):
        self.waiting = []

    async def __call__(self, work):
        gate = asyncio.Event()
        self.waiting.append(gate)
        await gate.wait()
        return work()

    async def answer(self):
        """The oldest thought is done; what follows from it happens."""
        self.waiting.pop(0).set()
        await settle()


async def settle():
    for _ in range(20):
        await asyncio.sleep(0)


def flow_of(rules, human, moves=()):
    agent = Agent(rules, UniformEvaluator(), name="agent")
    thinker, seen = Thinker(), []
    session = Session(agent, human=human, simulations=30, moves=moves)
    return Flow(session, think=thinker, changed=seen.append), thinker, seen


def test_the_agent_answers_the_person(tictactoe):
    async def game():
        flow, thinker, seen = flow_of(tictactoe, human=0)
        task = asyncio.create_task(flow.play(4))
        await settle()
        assert (flow.is_thinking, flow.is_persons_turn, flow.session.moves) == (True, False, [4])
        await thinker.answer()
        assert (flow.is_thinking, flow.is_persons_turn, len(flow.session.moves)) == (False, True, 2)
        assert seen[-1].moves == (4,), "what it thought of its move"
        await task

    asyncio.run(game())


def test_a_new_game_in_the_middle_of_a_thought_is_begun_by_the_agent(tictactoe):
    async def game():
        flow, thinker, _ = flow_of(tictactoe, human=0)
        tasks = [asyncio.create_task(flow.play(4))]
        await settle()
        tasks += [asyncio.create_task(flow.begin(1)) for _ in range(2)]
        await settle()
        assert len(thinker.waiting) == 1
        await thinker.answer()  # on a position that is no more
        assert flow.session.moves == []
        await thinker.answer()
        assert len(flow.session.moves) == 1
        assert flow.is_persons_turn
        assert not thinker.waiting
        await asyncio.gather(*tasks)

    asyncio.run(game())


def test_another_agent_in_the_middle_of_a_thought_thinks_again(tictactoe):
    async def game():
        flow, thinker, _ = flow_of(tictactoe, human=1)
        task = asyncio.create_task(flow.go_on())
        await settle()
        other = Agent(tictactoe, UniformEvaluator(), name="other")
        await flow.seat(other)
        await thinker.answer()
        assert flow.session.moves == []
        await thinker.answer()
        assert len(flow.session.moves) == 1
        assert flow.session.agent is other
        await task

    asyncio.run(game())


def test_a_hint_is_asked_for_once(tictactoe):
    async def game():
        flow, thinker, _ = flow_of(tictactoe, human=0, moves=["1", "5", "2", "9"])
        asked = [asyncio.create_task(flow.ask()) for _ in range(3)]
        await settle()
        await thinker.answer()
        opinions = await asyncio.gather(*asked)
        assert opinions[0] is opinions[1] is opinions[2]
        assert opinions[0].best.name == "3"

    asyncio.run(game())


def test_thoughts_are_shown_on_the_persons_turn_where_wanted(tictactoe):
    async def game():
        flow, thinker, _ = flow_of(tictactoe, human=0)
        flow.shows_thoughts = True
        task = asyncio.create_task(flow.go_on())
        await settle()
        await thinker.answer()
        assert flow.opinion.moves == ()
        await task
        assert await flow.take_back() is False

    asyncio.run(game())


def test_the_agent_plays_both_sides_until_nobody_is_there(tictactoe):
    async def game():
        flow, thinker, _ = flow_of(tictactoe, human=None)
        task = asyncio.create_task(flow.go_on())
        await settle()
        for played in (1, 2, 3):
            await thinker.answer()
            assert len(flow.session.moves) == played
        flow.is_left = True
        await thinker.answer()
        await task
        assert len(flow.session.moves) == 4
        assert not thinker.waiting

    asyncio.run(game())


def test_a_thought_that_fails_is_told_and_another_game_tries_again(tictactoe):
    async def game():
        flow, thinker, seen = flow_of(tictactoe, human=1)
        task = asyncio.create_task(flow.go_on())
        await settle()
        flow.session.agent.search = lambda moves, simulations: (_ for _ in ()).throw(ModelError("no numbers"))
        await thinker.answer()
        await task
        assert (str(flow.failure), flow.is_thinking, thinker.waiting) == ("no numbers", False, [])
        assert len(seen) == 2
        del flow.session.agent.search
        task = asyncio.create_task(flow.begin(1))
        await settle()
        await thinker.answer()
        await task
        assert flow.failure is None
        assert len(flow.session.moves) == 1

    asyncio.run(game())
