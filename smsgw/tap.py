"""``twistd smsgw``: its options, and the service they make."""

import atexit
import os
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from twisted.application.service import IService
from twisted.internet.defer import Deferred
from twisted.internet.error import ReactorNotRunning
from twisted.logger import Logger
from twisted.python import usage
from twisted.python.failure import Failure

from smsgw import config as configuration
from smsgw import demo
from smsgw.operate import log
from smsgw.reactor import direct, steady
from smsgw.service import CannotStart, Gateway
from smsgw.store import nodes
from smsgw.store.database import StoreUnusable, open_store, place_of

_log = Logger()


class Options(usage.Options):
    """Command line of ``twistd smsgw``."""

    synopsis = "[options]"
    longdesc = (
        "Runs the messaging gateway. Accounts, carriers and routes are provisioned while it runs, "
        "with 'smsgw apply FILE'. SIGTERM ends it in order: what is under way is answered first."
    )
    optParameters = [
        [
            "config",
            "c",
            None,
            f"Configuration file; {configuration.DEFAULT} by default, which may be absent.",
        ],
    ]
    optFlags = [
        [
            "demo",
            None,
            "Listen on loopback only and, if the store is empty, provision a demo account with "
            "a simulated carrier; prints how to send a message.",
        ],
    ]

    def postOptions(self) -> None:
        """Reads the configuration, so that its faults are told before anything starts."""
        try:
            self["configuration"] = configuration.find(self["config"])
        except configuration.ConfigError as error:
            _fail(error.lines)
        if self["demo"]:
            demo.on_loopback(self["configuration"])
        parent: Any = getattr(self, "parent", None)
        if parent is not None and not parent["logger"] and not parent.get("syslog"):
            # A daemon's standard output goes nowhere; the name is twistd's own.
            file = parent["logfile"] or (None if parent["nodaemon"] else "twistd.log")
            # twistd takes the observer by its name only.
            log.chosen = (self["configuration"].log, file)
            parent["logger"] = "smsgw.operate.log.observer"


def _fail(lines: list[str]) -> None:
    for line in lines:
        print(line, file=sys.stderr)
    raise SystemExit(1)


def raise_descriptor_limit() -> None:
    """Let the process have as many connections as its hard limit allows; the soft one, 1024 as a
    rule, is for programs that use select.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Refused where the hard limit is a number that the kernel does not grant.
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def makeService(options: Options) -> IService:
    """The gateway; the store is opened here, so that what is wrong with it is told at once."""
    from twisted.internet import reactor as installed

    reactor: Any = installed
    steady(reactor)
    direct(reactor)
    raise_descriptor_limit()

    config = options["configuration"]
    try:
        owner = nodes.owner_of(config.node.number) if config.shared else "embedded"
        engine = open_store(config.store.url, Path(config.store.folder), owner)
    except StoreUnusable as error:
        _fail([str(error)])
    gateway = Gateway(config, engine, reactor)

    async def started() -> None:
        for notice in config.notices:
            _log.warn("{notice}", notice=notice)
        if options["demo"]:
            await demo.begin(gateway, place_of(engine) / "demo.json")
            demo.start_mmsc(gateway)

    def cannot(failure: Failure) -> None:
        if failure.check(CannotStart):
            _log.critical("{why}", why=failure.getErrorMessage())
        else:
            _log.failure("smsgw: cannot start", failure)
        # The reactor knows no exit code; this is the last thing that the process does.
        atexit.register(os._exit, 1)
        reactor.stop()

    gateway.ready.addCallback(lambda _: Deferred.fromCoroutine(started())).addErrback(cannot)

    def fenced(_: None) -> None:
        atexit.register(os._exit, 1)
        stop()

    gateway.fenced.addCallback(fenced)

    def stop() -> None:
        with suppress(ReactorNotRunning):  # a second signal finds it stopping
            reactor.stop()

    def on_signal(*_: object) -> None:
        reactor.callFromThread(stop)

    # twistd's own reaction would end a drained process with the signal rather than with 0.
    for number in (signal.SIGTERM, signal.SIGINT):
        reactor.callWhenRunning(signal.signal, number, on_signal)
    return gateway
