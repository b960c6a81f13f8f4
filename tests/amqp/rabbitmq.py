"""A RabbitMQ of the tests' own: private node, ports and folder, stopped by process id."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.outside import certificate, pem
from tests.running import Running, free_ports

SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
CONTROL = SERVER.with_name("rabbitmqctl")

CONFIG = """\
listeners.tcp.1 = 127.0.0.1:{port}
listeners.ssl.1 = 127.0.0.1:{tls_port}
ssl_options.cacertfile = {directory}/ca.pem
ssl_options.certfile = {directory}/server.pem
ssl_options.keyfile = {directory}/server.pem
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = false
ssl_cert_login_from = common_name
auth_mechanisms.1 = PLAIN
auth_mechanisms.2 = EXTERNAL
loopback_users = none
default_user = guest
default_pass = guest
vm_memory_high_watermark.absolute = 1GB
disk_free_limit.absolute = 1MB
log.console = true
log.console.level = warning
log.file = false
"""


class RabbitMq(Running):
    """One broker, for guest/guest; its certificate is that of ``tests.outside``."""

    name = "rabbitmq"

    def __init__(self) -> None:
        super().__init__(Path(tempfile.mkdtemp(prefix="smsgw-rabbitmq-")))
        self.port, self.tls_port, self._distribution, self._epmd_port = free_ports(4)
        self._node = f"smsgw-{os.getpid()}@localhost"
        self._epmd: subprocess.Popen[bytes] | None = None
        self.ca = self.directory / "ca.pem"
        both = pem(certificate())
        (self.directory / "server.pem").write_bytes(both)
        self.ca.write_bytes(both[: both.index(b"-----BEGIN PRIVATE")])
        values = {"port": self.port, "tls_port": self.tls_port, "directory": self.directory}
        (self.directory / "rabbitmq.conf").write_text(CONFIG.format(**values))
        (self.directory / "enabled_plugins").write_text("[rabbitmq_auth_mechanism_ssl].")

    def command(self) -> list[str]:
        """One scheduler, so that the tests have the other core."""
        return ["/usr/bin/env", *self._environment(), str(SERVER)]

    def ready(self) -> bool:
        """True once both listeners greet: a wrong header is answered with the right one."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as asked:
                asked.sendall(b"AMQP\x00\x00\x00\x00")
                with socket.create_connection(("127.0.0.1", self.tls_port), 1):
                    return asked.recv(8) == b"AMQP\x00\x00\x09\x01"
        except OSError:
            return False

    def start(self) -> None:
        """Start it with its port mapper."""
        if self._epmd is None:
            port = str(self._epmd_port)
            command = ["epmd", "-port", port, "-address", "127.0.0.1"]
            self._epmd = subprocess.Popen(command)
        super().start()

    def kill(self) -> None:
        """As a power cut would: the whole process group of the broker."""
        if self.pid is not None:
            os.killpg(self.pid, signal.SIGKILL)
        super().kill()

    def control(self, *arguments: str) -> str:
        """What ``rabbitmqctl`` says."""
        command = ["/usr/bin/env", *self._environment(), str(CONTROL), *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=60
        ).stdout

    def virtual_host(self, name: str) -> None:
        """Makes an empty virtual host for guest; one of that name is deleted before."""
        # In one call: each starts an Erlang of its own, which takes seconds.
        self.control(
            "eval",
            f'rabbit_vhost:exists(<<"{name}">>) '
            f'andalso rabbit_vhost:delete(<<"{name}">>, <<"tests">>), '
            f'ok = rabbit_vhost:add(<<"{name}">>, <<"tests">>), '
            f'rabbit_auth_backend_internal:set_permissions(<<"guest">>, <<"{name}">>, '
            '<<".*">>, <<".*">>, <<".*">>, <<"tests">>).',
        )

    def user(self, name: str) -> None:
        """Makes a user who may do everything, with his name for a password."""
        self.control(
            "eval",
            f'ok = rabbit_auth_backend_internal:add_user(<<"{name}">>, <<"{name}">>, <<"tests">>), '
            f'rabbit_auth_backend_internal:set_permissions(<<"{name}">>, <<"/">>, '
            '<<".*">>, <<".*">>, <<".*">>, <<"tests">>).',
        )

    def remove(self) -> None:
        """End it, and take its folder away."""
        self.kill()
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _environment(self) -> list[str]:
        directory = self.directory
        return [
            f"HOME={directory}",
            "ERL_EPMD_ADDRESS=127.0.0.1",
            f"ERL_EPMD_PORT={self._epmd_port}",
            f"RABBITMQ_NODENAME={self._node}",
            f"RABBITMQ_DIST_PORT={self._distribution}",
            f"RABBITMQ_MNESIA_BASE={directory}/mnesia",
            f"RABBITMQ_LOG_BASE={directory}/log",
            "RABBITMQ_LOGS=-",
            f"RABBITMQ_CONFIG_FILE={directory}/rabbitmq.conf",
            f"RABBITMQ_ENABLED_PLUGINS_FILE={directory}/enabled_plugins",
            f"RABBITMQ_PID_FILE={directory}/pid",
            "RABBITMQ_CONF_ENV_FILE=/dev/null",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none",
        ]


def installed() -> bool:
    """True if this machine has RabbitMQ, as ``make test`` installs it where it can."""
    return SERVER.exists() and shutil.which("epmd") is not None


def a_broker() -> Iterator[RabbitMq]:
    """A fixture: a broker that is started when the first test asks for it."""
    if not installed():
        pytest.skip("rabbitmq-server is not installed")
    found = RabbitMq()
    try:
        found.start()
        yield found
    finally:
        found.remove()
