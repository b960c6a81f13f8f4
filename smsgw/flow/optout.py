"""Optout: obeys the words by which handsets opt out, opt in again, and ask for help (E-D12 to
E-D14 of ``spec/aerialink.md``).

Comes from: ``inbound``, with each message from a handset. Goes on to: ``lists``, and ``accept``
with the confirmation; all of it in the transaction that takes the message. If an answer cannot be
paid the message and the opt-out are taken without it.
"""

from collections.abc import Sequence

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from smsgw.flow.accept import Acceptance
from smsgw.flow.decide import Outcome
from smsgw.flow.lists import Decided, Lists
from smsgw.identities import Identities
from smsgw.message import UDHI, Message
from smsgw.provisioning import Account, Number
from smsgw.queues import Transaction
from smsgw.refusals import Reason, Refusal
from smsgw.rules.optout import LONGEST, Keyword, Wording, wording
from smsgw.rules.tables import Tables
from smsgw.store.journal import Overdrawn, together
from smsgw.text import coding, numbers

_log = Logger()

INTERFACE = "optout"  # of the answers


class OptOuts:
    """What all opt-outs share."""

    def __init__(self, lists: Lists, acceptance: Acceptance, identities: Identities) -> None:
        self.lists = lists
        self.acceptance = acceptance
        self.allot = identities.allot
        self._wordings: dict[int, Wording] = {}
        self._of: Tables | None = None
        # For operators: opt-outs, opt-ins and calls for help that were obeyed.
        self.obeyed = dict.fromkeys(Keyword, 0)

    def batch(self, tables: Tables, transaction: Transaction) -> "Batch":
        """For what one read of a carrier brought."""
        return Batch(self, tables, transaction)

    def wording(self, tables: Tables, number: Number) -> Wording:
        """What a number understands and answers."""
        if tables is not self._of:
            self._of = tables
            self._wordings = {}
        found = self._wordings.get(id(number))
        if found is None:
            found = self._wordings[id(number)] = wording(number.words, number.language)
        return found


@define
class Batch:
    """The words among the messages of one transaction."""

    optouts: OptOuts
    tables: Tables
    transaction: Transaction
    _decided: list[Decided] = field(factory=list)
    # Apart from ``transaction``, which must not fail for what they cost.
    _answers: Transaction = field(factory=Transaction)
    _outcomes: list[Outcome] = field(factory=list)

    def obey(self, message: Message, account: Account, number: Number, now: int) -> None:
        """Does what a message from a handset says, if the whole of it is a keyword.

        ``account`` and ``number`` are those that it is for; ``now`` in ms since 1970.
        """
        octets = message.parts[0]
        if len(octets) > 2 * LONGEST or message.esm_class & UDHI or not number.optout:
            return
        kept = message.multimedia
        if kept is None:
            text = coding.decode(message.data_coding, octets)
        else:
            # A picture that comes with the word is its handset's signature, or the like.
            text = (kept.text or kept.subject)[: LONGEST + 1]
        wording = self.optouts.wording(self.tables, number)
        keyword = wording.keyword(text) if text else None
        if keyword is None:
            return
        handset = numbers.normalise_destination(message.source, message.source_ton, account.country)
        if isinstance(handset, Reason):
            return  # nobody could send to it
        address = message.destination.removeprefix("+")
        changed = False
        for owner in self._owners(account, number, address):
            decided = self._change(keyword, owner, address, handset, now)
            if decided is not None:
                self._decided.append(decided)
                changed = changed or decided.news
        if changed or keyword is Keyword.HELP:
            self.optouts.obeyed[keyword] += 1
            answer = wording.answers[keyword]
            if answer:
                self._answer(account, address, handset, answer)

    def _owners(self, account: Account, number: Number, address: str) -> Sequence[Account]:
        """Whose messages the handset means: those of the account that has the address without a
        keyword, else of all that share it."""
        rules = self.tables.numbers.of(number.address)
        if not number.keyword and len(rules) < 2:
            return (account,)
        plain = [owner for owner, rule, _ in rules if not rule.keyword]
        found = plain or [owner for owner, *_ in rules]
        return list({owner.name: owner for owner in found}.values())

    def _change(
        self, keyword: Keyword, account: Account, address: str, handset: str, now: int
    ) -> Decided | None:
        optouts, changes = self.optouts, self.transaction.changes
        if keyword is Keyword.STOP:
            return optouts.lists.opt_out(account, address, handset, changes, now, optouts.allot)
        if keyword is Keyword.START:
            return optouts.lists.opt_in(account, address, handset, changes, now)
        return None

    def _answer(self, account: Account, address: str, handset: str, text: str) -> None:
        message = Message(
            source=address, destination=handset, text=text, interface=INTERFACE, exempt=True
        )
        outcome = self.optouts.acceptance.add(account, message, self._answers)
        self._outcomes.append(outcome)
        if isinstance(outcome, Refusal):
            # What the handset asked for holds all the same.
            _log.warn(
                "{account}: answer from {source} to an opt-out word is not sent: {why}",
                account=account.name,
                source=address,
                why=outcome.reason.answer.text,
            )

    def commit(self) -> Deferred[None]:
        """Makes the transaction durable, with all that was asked for; fails if it is not stored.

        Answers that another node has left no money for are not sent.
        """
        if self._outcomes:
            both = Transaction(
                together([self.transaction.changes, self._answers.changes]),
                self.transaction.put + self._answers.put,
                after=self.transaction.after,
            )
            done = self.optouts.acceptance.commit(both, self._outcomes)
            done.addErrback(self._without_answers)
        else:
            done = self.optouts.acceptance.commit(self.transaction, [])
        if not self._decided:
            return done
        lists, decided = self.optouts.lists, self._decided

        def stored(_: None) -> None:
            for one in decided:
                lists.settle(one, stored=True)

        def not_stored(failure: Failure) -> Failure:
            for one in decided:
                lists.settle(one, stored=False)
            return failure

        return done.addCallbacks(stored, not_stored)

    def _without_answers(self, failure: Failure) -> Deferred[None]:
        failure.trap(Overdrawn)
        _log.warn(
            "{count} answers to opt-out words are not sent: not enough credit",
            count=len(self._outcomes),
        )
        return self.optouts.acceptance.commit(self.transaction, [])
