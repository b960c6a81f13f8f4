from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol
from txamqp import spec
from txamqp.client import TwistedDelegate, TwistedEvent

class AMQChannel:
    id: int
    closed: bool
    reason: Any
    outgoing: Any
    def __init__(self, id: int, outgoing: Any, client: Any) -> None: ...
    def close(self, reason: object) -> None: ...
    def do_close(self, reason: Any) -> None: ...
    # Methods of the specification, made when it is loaded.
    def __getattr__(self, name: str) -> Callable[..., Deferred[Any]]: ...

class AMQClient(Protocol):
    spec: spec.Spec
    delegate: TwistedDelegate
    channelClass: type[AMQChannel]
    channels: dict[int, Any]
    channelFactory: Callable[[int, Any, AMQClient], Any]
    vhost: str
    outgoing: Any
    started: TwistedEvent
    disconnected: TwistedEvent
    closed: bool
    mechanism: str
    response: bytes
    locale: str
    def __init__(
        self,
        delegate: TwistedDelegate,
        vhost: str,
        spec: spec.Spec,
        heartbeat: float = 0,
        clock: IReactorTime | None = None,
        insist: bool = False,
    ) -> None: ...
