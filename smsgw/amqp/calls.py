"""Methods that ask and wait: txAMQP's channel with a line of our own."""

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, fail, succeed
from txamqp.connection import Frame
from txamqp.connection import Method as MethodPayload
from txamqp.message import Message
from txamqp.protocol import AMQChannel
from txamqp.spec import Method

from smsgw.amqp.errors import AmqpError, ProtocolFault
from smsgw.amqp.methods import COMMAND_INVALID, encode_method

if TYPE_CHECKING:
    from smsgw.amqp.connection import Connection


class Outgoing:
    """Takes the place of txAMQP's queue of frames, which stands still for good after one that
    cannot be encoded.
    """

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection

    def put(self, frame: Frame) -> None:
        """Writes it now."""
        method = frame.payload
        self._connection.write(encode_method(frame.channel, method.method, method.args))


class Calls(AMQChannel):
    """txAMQP's channel, whose methods wait for their answers in a line of our own: one that is not
    of the kind that is due is a fault, and all fail at once with a typed reason.
    """

    def __init__(self, id: int, outgoing: Outgoing, client: "Connection") -> None:
        super().__init__(id, outgoing, client)
        self.waiting: deque[tuple[Sequence[Method], Deferred[Any]]] = deque()

    def invoke(
        self, method: Method, args: tuple[Any, ...], content: object = None
    ) -> "Deferred[Any]":
        """txAMQP: sends a method; fires with the answer, at once if none is due."""
        if self.closed:
            return fail(self.reason)
        self.outgoing.put(Frame(self.id, MethodPayload(method, *args)))
        if not method.responses:
            return succeed(None)
        answer: Deferred[Any] = Deferred()
        self.waiting.append((method.responses, answer))
        return answer

    def answered(self, method: Method, values: tuple[Any, ...]) -> None:
        """The broker's answer to the oldest method that waits. ``ProtocolFault`` for another."""
        if not self.waiting or method not in self.waiting[0][0]:
            text = f"{method.klass.name}.{method.name} answers nothing"
            raise ProtocolFault(COMMAND_INVALID, text)
        self.waiting.popleft()[1].callback(Message(method, values, None))

    def do_close(self, reason: AmqpError) -> None:
        """txAMQP: nothing is answered any more."""
        if not self.closed:
            self.closed = True
            self.reason = reason
            waiting, self.waiting = self.waiting, deque()
            for _, answer in waiting:
                answer.errback(reason)
