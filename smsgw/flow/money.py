"""Money: what each account may still spend, decided in memory and written down by the journal.

Theory of operation. The store's balance is the sum of the ledger (I8). The amounts here are that
balance less the charges that wait to be stored, so of two submits that race for the last credit the
second finds it spent, whichever is stored first. A charge counts from the moment it is decided and
is undone if it is not stored; a refund counts only once it is stored, so nobody spends what a crash
could take back.

Another node spends from the same balance, and this one does not see it. So the store has the last
word: what it finds overdrawn it does not store; then the charge is undone, and the balance is read
again.
"""

from collections.abc import Iterable

from twisted.logger import Logger
from twisted.python.failure import Failure

from smsgw.provisioning import Account
from smsgw.rules import money
from smsgw.store import ledger
from smsgw.store.journal import Changes, Journal

_log = Logger()


class Balances:
    """The balances of all accounts, in ten-thousandths. Used on the reactor's thread only."""

    def __init__(self) -> None:
        self._amounts: dict[str, int] = {}
        self._unstored: dict[str, int] = {}  # charges decided and not stored yet
        self._journal: Journal | None = None  # once they have been read
        self._reading: set[str] = set()  # accounts whose balance is being read again
        # True if other nodes spend as well; ``asked`` keeps the prepaid accounts that were asked
        # for since it was emptied, whose balances are read again once a second.
        self.shared = False
        self.asked: set[str] = set()

    async def load(self, journal: Journal) -> None:
        """Reads what the store has. What waits to be stored stays charged: the journal tells of a
        commit before it tells of a read that came after it."""
        self._journal = journal
        amounts = await journal.run(ledger.balances)
        for account, charged in self._unstored.items():
            amounts[account] = amounts.get(account, 0) - charged
        self._amounts = amounts

    def of(self, account: str) -> int:
        """What the account has."""
        return self._amounts.get(account, 0)

    def covers(self, account: Account, cost: int) -> bool:
        """True if the account may spend so much: it is postpaid, or has it with its credit
        limit."""
        funds = self.funds(account)
        return funds is None or funds >= cost

    def funds(self, account: Account) -> int | None:
        """How much the account may spend; None for any amount: it is postpaid."""
        if account.balance is None:
            return None
        if self.shared:
            self.asked.add(account.name)
        return self.of(account.name) + money.amount(account.credit_limit)

    def charge(self, account: str, cost: int) -> None:
        """A charge is decided; ``stored`` or ``not_stored`` follows."""
        self._amounts[account] = self._amounts.get(account, 0) - cost
        self._unstored[account] = self._unstored.get(account, 0) + cost

    def stored(self, account: str, cost: int) -> None:
        """Charges are in the store."""
        left = self._unstored[account] - cost
        if left:
            self._unstored[account] = left
        else:
            del self._unstored[account]

    def not_stored(self, account: str, cost: int) -> None:
        """Charges are undone."""
        self.stored(account, cost)
        self._amounts[account] += cost

    def credit(self, changes: Changes) -> None:
        """Refunds or a top-up among these changes are in the store."""
        for entry in changes.ledger:
            self._amounts[entry.account] = self._amounts.get(entry.account, 0) + entry.amount

    def read_again(self, accounts: Iterable[str]) -> None:
        """The store has less of these accounts than is known here: another node has spent it."""
        journal = self._journal
        wanted = set(accounts) - self._reading
        if journal is None or not wanted:
            return
        self._reading |= wanted

        def read(amounts: dict[str, int]) -> None:
            for account in wanted:
                amount = amounts.get(account, 0)
                self._amounts[account] = amount - self._unstored.get(account, 0)

        def failed(failure: Failure) -> None:
            # The next charge that the store refuses asks again.
            _log.error("balances: not read: {why}", why=failure.getErrorMessage())

        def done(_: None) -> None:
            self._reading -= wanted

        reading = journal.run(lambda connection: ledger.balances(connection, wanted))
        reading.addCallbacks(read, failed).addCallback(done)
