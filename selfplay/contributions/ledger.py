"""Who contributes, and who is at which games. Knows no network, no files and no clock: the time is told to it."""

from __future__ import annotations

from dataclasses import dataclass, field

from selfplay.samples.batch_file import GAMES_PER_FILE


@dataclass
class Contributor:
    """Somebody who plays games for the run."""

    id: str
    name: str
    number: int  # of its folder
    heard: float  # when it last said anything
    games: int = 0  # taken into the run
    batches: int = 0  # that came
    checked: int = 0  # games that were played again, and were equal
    malformed: int = 0
    dropped: str = ""  # why nothing more is taken from it


@dataclass
class Lease:
    """Games that a contributor is at."""

    contributor: str
    round: int
    games: set[int]
    since: float


@dataclass
class Ledger:
    """The contributors of one run.

    Args:
        patience_seconds: how long somebody may be silent before its games are given to others.
    """

    patience_seconds: float
    contributors: dict[str, Contributor] = field(default_factory=dict)
    leases: list[Lease] = field(default_factory=list)

    def join(self, id: str, name: str, *, number: int, now: float) -> Contributor:
        """A new contributor."""
        found = self.contributors[id] = Contributor(id, name, number, now)
        return found

    def hear(self, id: str, now: float) -> Contributor | None:
        """Somebody spoke; None where nobody is called so."""
        found = self.contributors.get(id)
        if found is not None:
            found.heard = now
        return found

    def forget_silent(self, now: float) -> list[Contributor]:
        """Free the games of those that fell silent; who they are."""
        silent = [each for each in self.contributors.values() if now - each.heard > self.patience_seconds]
        gone = [each for each in silent if any(lease.contributor == each.id for lease in self.leases)]
        for each in gone:
            self.release(each.id)
        return gone

    def lease(self, id: str, round_number: int, missing: list[int], *, wish: int, now: float) -> range | None:
        """Games for a contributor: from the back of those that are missing, since the coordinator's own workers begin
        at the front. Where all are given out, some of those that are out the longest, a second time.

        Args:
            id: the contributor's.
            round_number: the open round; games of other rounds are not wanted any more.
            missing: numbers of its games that are not there, rising.
            wish: how many it would like.
            now: the time, in seconds.
        """
        self.leases = [lease for lease in self.leases if lease.round == round_number]
        out = {game for lease in self.leases for game in lease.games}
        free = [game for game in missing if game not in out]
        if not free:
            free = self._late_ones(id, set(missing))
        if not free:
            return None
        active = {lease.contributor for lease in self.leases} | {id}
        share = max(GAMES_PER_FILE, -(-len(free) // (2 * len(active))))
        games = _last_run(free, min(wish, share))
        self.leases.append(Lease(id, round_number, set(games), now))
        return games

    def _late_ones(self, id: str, missing: set[int]) -> list[int]:
        """Games of the lease that is out the longest, of those that nobody has a second time and that is another's."""
        for lease in sorted(self.leases, key=lambda lease: lease.since):
            left = sorted(lease.games & missing)
            is_doubled = any(other is not lease and other.games & lease.games for other in self.leases)
            if left and lease.contributor != id and not is_doubled:
                return left
        return []

    def has_leased(self, id: str, round_number: int, games: set[int]) -> bool:
        """Whether all these games are among those that a contributor is at."""
        own = (lease.games for lease in self.leases if lease.contributor == id and lease.round == round_number)
        return games <= set().union(*own)

    def settle(self, id: str, games: set[int]) -> None:
        """These games came from a contributor."""
        for lease in self.leases:
            if lease.contributor == id:
                lease.games -= games
        self.leases = [lease for lease in self.leases if lease.games]

    def release(self, id: str) -> None:
        """A contributor is at nothing any more."""
        self.leases = [lease for lease in self.leases if lease.contributor != id]


def _last_run(numbers: list[int], most: int) -> range:
    """The longest run of consecutive numbers at the end of `numbers` (rising), of so many at most."""
    first = len(numbers) - 1
    while first > 0 and len(numbers) - first < most and numbers[first - 1] == numbers[first] - 1:
        first -= 1
    return range(numbers[first], numbers[-1] + 1)
