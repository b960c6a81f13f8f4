"""What distinguishes one SMPP listener's manners from another's: timers, version rules, words of
refusal.
"""

from attrs import frozen

from smsgw.refusals import Reason
from smsgw.smpp.constants import FIRST_VENDOR_STATUS, Status


@frozen
class Profile:
    """Timers (seconds; 0 = off) and rules of the sessions of one listener.

    Defaults are those of ``standard`` (``spec/aerialink.md`` 4.7; ``spec/smpp.md`` §7).
    """

    name: str = "standard"
    system_id: bytes = b"smsgw"
    session_init_s: float = 10.0  # connection to complete bind (spec/smpp.md §7)
    enquire_after_s: float = 60.0  # silence of the peer before our own enquire_link (E-D25)
    enquire_misses: int = 2  # unanswered enquire_links in a row that close the session (E-D25)
    response_s: float = 30.0  # our request to its response
    idle_s: float = 0.0  # time without activity of the client after which we unbind (L-D3)
    idle_unbind: bool = True  # False: close without a word (L-D3)
    unbind_grace_s: float = 5.0  # how long outstanding answers are waited for (spec/smpp.md §6)
    stall_s: float = 30.0  # how long a peer may leave our octets unread before it is cut off
    failed_binds: int = 3  # refused binds that close the connection (L-D14)
    max_window: int = 100  # the largest window a credential can have (E-D24)
    connections: int = 5000  # of the listener; more are closed at once
    unbound: int = 100  # of them, of one address, that have not bound yet
    # A client below 3.4 gets the rules of 3.3 (E-D23); False: those of 3.4 without TLVs (L-D13).
    strict_33: bool = True
    accept_v33: bool = True  # False: such a client is refused (L-D13)
    strict_system_type: bool = False  # True: any but the empty one is refused (W-D3)
    # Operations other than submit_sm are answered by generic_nack (L-D11). False: all of the
    # session's version are served (E-D29, W-D4).
    nack_unserved: bool = False
    # How far ahead schedule_delivery_time may be, and how long validity_period (L-D21); 0: a longer
    # validity is taken, and shortened to what the gateway keeps.
    max_schedule_s: int = 30 * 86_400
    max_validity_s: int = 0
    # Every data_coding that has a meaning is taken; False: those of L-D19.
    any_coding: bool = True
    # Refusals have the statuses of spec/link-smpp.md 4.4; False: those of E-D15 and E-D16.
    link_statuses: bool = False
    # Statuses from 0x400 on are used; False: ESME_RSUBMITFAIL in their place (E-D15).
    vendor_statuses: bool = True

    def status(self, reason: Reason) -> int:
        """The command_status that says ``reason`` to a client of this profile (ruling 4)."""
        answer = reason.answer
        if self.link_statuses:
            return answer.smpp_link
        if answer.smpp >= FIRST_VENDOR_STATUS and not self.vendor_statuses:
            return Status.ESME_RSUBMITFAIL
        return answer.smpp


STANDARD = Profile()
WEBSMPP = Profile(name="websmpp", link_statuses=True)
LINK = Profile(
    name="link",
    enquire_after_s=0.0,  # ruling 3
    enquire_misses=1,  # L-D4
    idle_s=300.0,  # L-R6
    strict_33=False,
    nack_unserved=True,
    any_coding=False,
    max_schedule_s=7 * 86_400,
    max_validity_s=7 * 86_400,
    link_statuses=True,
)
PROFILES = {profile.name: profile for profile in (STANDARD, WEBSMPP, LINK)}
