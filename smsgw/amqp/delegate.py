"""What the broker asks of a client, by the names that txAMQP calls it."""

from typing import TYPE_CHECKING

from txamqp.client import TwistedDelegate
from txamqp.message import Message
from txamqp.protocol import AMQChannel

from smsgw.amqp.errors import ChannelClosed, ConnectionClosed, LoginRefused

if TYPE_CHECKING:
    from smsgw.amqp.connection import Connection

_CAPABILITIES = {
    "publisher_confirms": True,
    "basic.nack": True,
    "connection.blocked": True,
    "consumer_cancel_notify": True,
    "authentication_failure_close": True,
    "exchange_exchange_bindings": True,
}
_LOGIN_CODES = {402, 403, 530}  # no such virtual host, wrong password or no right, not allowed


class Delegate(TwistedDelegate):
    """Of one connection."""

    client: "Connection"

    def connection_start(self, ch: AMQChannel, msg: Message) -> None:
        """txAMQP."""
        client = self.client
        offered = msg.mechanisms.split()
        if client.login.mechanism.encode() not in offered:
            names = b", ".join(offered).decode("ascii", "replace")
            text = f"the broker takes {names}, not {client.login.mechanism}"
            client.end(LoginRefused(403, text))
            return
        client.server = dict(msg.server_properties)
        ch.connection_start_ok(
            client_properties={
                "product": "smsgw",
                "connection_name": client.login.name or "smsgw",
                "capabilities": _CAPABILITIES,
            },
            mechanism=client.mechanism,
            response=client.response,
            locale=client.locale,
        )

    def connection_tune(self, ch: AMQChannel, msg: Message) -> None:
        """txAMQP."""
        client = self.client
        client.tuned(msg.channel_max, msg.frame_max, msg.heartbeat)
        ch.connection_tune_ok(client.max_channel, client.max_frame, client.heartbeat)
        client.started.fire()

    def connection_blocked(self, ch: AMQChannel, msg: Message) -> None:
        """txAMQP."""
        self.client.set_blocked(msg.reason or "no reason given")

    def connection_unblocked(self, ch: AMQChannel, msg: Message) -> None:
        """txAMQP."""
        self.client.set_blocked("")

    def connection_close(self, ch: AMQChannel, msg: Message) -> None:
        """txAMQP."""
        ch.connection_close_ok()
        kind = LoginRefused if msg.reply_code in _LOGIN_CODES else ConnectionClosed
        if self.client.opened:
            kind = ConnectionClosed
        self.client.end(kind(msg.reply_code, msg.reply_text))

    def channel_flow(self, ch: AMQChannel, msg: Message) -> None:
        """txAMQP."""
        ch.channel_flow_ok(active=msg.active)
        self.client.channel_of(ch).flow(msg.active)

    def channel_close(self, ch: AMQChannel, msg: Message) -> None:
        """txAMQP."""
        ch.channel_close_ok()
        reason = ChannelClosed.by_code(msg.reply_code, msg.reply_text)
        self.client.drop(self.client.channel_of(ch), reason)

    def basic_cancel(self, ch: AMQChannel, msg: Message) -> None:
        """txAMQP."""
        self.client.channel_of(ch).cancelled(msg.consumer_tag)

    def close(self, reason: object) -> None:
        """txAMQP's way of ending is not taken."""


# Names of the methods that a broker may send; txAMQP's own delegate has more.
ASKED = frozenset(name for name in vars(Delegate) if "_" in name and not name.startswith("_"))
