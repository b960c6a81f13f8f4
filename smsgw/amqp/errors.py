"""What can go wrong with a broker, each kind a type of its own."""

from typing import ClassVar


class AmqpError(Exception):
    """Any of them; the text says what an operator should know."""


class MisuseError(Exception):
    """This process used the layer wrongly: a bug."""


class ConnectionLost(AmqpError):
    """The connection is gone: closed by an end, broken, or silent for too long."""


class ProtocolFault(ConnectionLost):
    """The peer sent what AMQP does not allow; the connection is closed with this code."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{text} ({code})")
        self.code = code
        self.text = text


class Silent(ConnectionLost):
    """Nothing was heard for two heartbeat intervals, or the handshake took too long."""


class _Refused(AmqpError):
    """Carries the reply of the broker."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code} {text}" if str(code) not in text else text)
        self.code = code
        self.text = text


class ConnectionClosed(_Refused, ConnectionLost):
    """The broker closed the connection with a reply code."""


class LoginRefused(ConnectionClosed):
    """The broker does not take this user, password, or virtual host."""


class ChannelClosed(_Refused):
    """The broker closed the channel with a reply code; the connection goes on."""

    kinds: ClassVar[dict[int, type["ChannelClosed"]]] = {}

    @staticmethod
    def by_code(code: int, text: str) -> "ChannelClosed":
        """An error of the type that stands for the reply code."""
        return ChannelClosed.kinds.get(code, ChannelClosed)(code, text)


class AccessRefused(ChannelClosed):
    """403: the user may not do this."""


class NotFound(ChannelClosed):
    """404: there is no such queue or exchange."""


class ResourceLocked(ChannelClosed):
    """405: another connection has the queue for itself."""


class PreconditionFailed(ChannelClosed):
    """406: the queue or exchange exists and is another kind, or an acknowledgement was wrong."""


ChannelClosed.kinds.update(
    {403: AccessRefused, 404: NotFound, 405: ResourceLocked, 406: PreconditionFailed}
)


class ChannelGone(AmqpError):
    """The channel was closed by this end."""


class ConsumerCancelled(AmqpError):
    """The broker ended a consumer: its queue was deleted, or has lost its leader."""


class NotPublished(AmqpError):
    """The broker did not take a message."""


class Nacked(NotPublished):
    """The broker answered ``basic.nack``: it could not store the message."""


class Returned(_Refused, NotPublished):
    """No queue takes what is published to this exchange with this key (312 NO_ROUTE)."""


class NoRoom(NotPublished):
    """The window of unconfirmed messages is full, or the broker is blocked: nothing was sent."""
