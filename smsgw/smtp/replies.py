"""Every answer of the SMTP server, each with its code and its enhanced code (RFC 3463), in one
place."""

import errno

from attrs import frozen


@frozen
class Reply:
    """One answer; ``enhanced`` is "" where there is none: greetings, EHLO, HELO and 3yz. ``before``
    are lines that come before its last one."""

    code: int
    enhanced: str
    text: str
    before: tuple[str, ...] = ()

    @property
    def octets(self) -> bytes:
        """Its lines, without the last end. What is not printable ASCII is left out."""
        last = self._line(" ", self.text)
        if not self.before:
            return last
        return b"".join(self._line("-", one) + b"\r\n" for one in self.before) + last

    def _line(self, mark: str, words: str) -> bytes:
        text = "".join(one if " " <= one <= "~" else "?" for one in words)
        enhanced = f"{self.enhanced} " if self.enhanced else ""
        return f"{self.code}{mark}{enhanced}{text}"[:510].encode()

    @property
    def good(self) -> bool:
        """True if it says yes."""
        return self.code < 400


_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def of_failure(fault: BaseException | None) -> Reply:
    """What is said to a mail that could not be kept."""
    return DISK_FULL if getattr(fault, "errno", None) in _NO_ROOM else LOCAL_ERROR


OK = Reply(250, "2.0.0", "Ok")
BYE = Reply(221, "2.0.0", "Bye")
SENDER_OK = Reply(250, "2.1.0", "Sender ok")
RECIPIENT_OK = Reply(250, "2.1.5", "Recipient ok")
VRFY = Reply(252, "2.5.0", "Cannot verify; send a message and see")
START_TLS = Reply(220, "2.0.0", "Ready to start TLS")
LOGGED_IN = Reply(235, "2.7.0", "Logged in")
GO_AHEAD = Reply(354, "", "End with <CRLF>.<CRLF>")

SHUTTING_DOWN = Reply(421, "4.3.2", "The service is shutting down")
OVERLOADED = Reply(421, "4.3.2", "Too busy; try again later")
TOO_MANY_CONNECTIONS = Reply(421, "4.7.0", "Too many connections from your address")
TIMEOUT = Reply(421, "4.4.2", "Timed out")
TOO_MANY_ERRORS = Reply(421, "4.7.0", "Too many errors")
LOCAL_ERROR = Reply(451, "4.3.0", "Local error; try again later")
DATA_OVERLOADED = Reply(451, "4.3.0", "Too busy to take mail; try again later")
TOO_MANY_RECIPIENTS = Reply(452, "4.5.3", "Too many recipients; send the others separately")
DISK_FULL = Reply(452, "4.3.1", "Insufficient system storage; try again later")
NO_LOGIN_NOW = Reply(454, "4.7.0", "Logins cannot be checked now")
NO_TLS = Reply(454, "4.7.0", "TLS is not available")

SYNTAX = Reply(500, "5.5.2", "Syntax error")
UNKNOWN = Reply(500, "5.5.1", "No such command")
LINE_TOO_LONG = Reply(500, "5.5.2", "Line too long")
NO_ARGUMENT = Reply(501, "5.5.4", "No parameter is allowed here")
NEEDS_NAME = Reply(501, "5.5.4", "A domain or an address literal must follow")
BAD_MAIL = Reply(501, "5.5.4", "Must be MAIL FROM:<address>")
BAD_RCPT = Reply(501, "5.5.4", "Must be RCPT TO:<address>")
BAD_PARAMETER = Reply(501, "5.5.4", "Malformed parameter")
BAD_BASE64 = Reply(501, "5.5.2", "Not base64")
LOGIN_CANCELLED = Reply(501, "5.7.0", "Login cancelled")
NOT_SERVED = Reply(502, "5.5.1", "Command not served")
ORDER = Reply(503, "5.5.1", "Bad sequence of commands")
NO_RECIPIENT = Reply(503, "5.5.1", "No recipient was accepted")
AFTER_STARTTLS = Reply(503, "5.5.1", "Nothing may be sent after STARTTLS before its answer")
MECHANISM = Reply(504, "5.5.4", "No such mechanism; PLAIN and LOGIN are served")
LOGIN_FIRST = Reply(530, "5.7.0", "Authentication required")
TLS_FIRST = Reply(530, "5.7.0", "Must issue a STARTTLS command first")
WRONG_LOGIN = Reply(535, "5.7.8", "Username or password wrong")
TLS_FOR_LOGIN = Reply(538, "5.7.11", "Encryption is needed to log in")
NO_RELAY = Reply(550, "5.7.1", "No relaying; the domain is not served here")
NO_SUCH_USER = Reply(550, "5.1.1", "No such recipient here")
TOO_LARGE = Reply(552, "5.3.4", "Message too large")
AUTOMATIC = Reply(550, "5.7.1", "Automatic mail does not become a message")
NOT_A_CUSTOMER = Reply(550, "5.7.1", "Only customers may send mail that is no MM4")
NOT_YOUR_REPLY = Reply(550, "5.7.1", "Reply from the mailbox that the message was sent to")
NOT_YOUR_ADDRESS = Reply(553, "5.1.8", "Not an address of your domain")
NOT_ALLOWED = Reply(554, "5.7.1", "Your address is in no allow-list")
BAD_CONTENT = Reply(554, "5.6.0", "Bare CR, bare LF or NUL in the message")
UNKNOWN_PARAMETER = Reply(555, "5.5.4", "No such parameter")
