"""A private Postfix: in a folder of its own, on a free port, stopped with its test."""

import os
import pwd
import smtplib
import subprocess
import time
from pathlib import Path

from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.running import free_ports

MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/spool
data_directory = {folder}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = {host}
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
relay_domains = {onward}
transport_maps = inline:{{ {onward}=smtp:[127.0.0.1]:{next} }}
virtual_mailbox_domains = {domain}
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = static:box
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
smtpd_recipient_restrictions = reject_unauth_destination
maillog_file = /dev/stdout
maillog_file_prefixes = /dev
alias_maps =
alias_database =
recipient_delimiter =
"""
MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
tlsmgr unix - - n 1000? 1 tlsmgr
postlog unix-dgram n - n - 1 postlogd
"""


async def start(
    test: TestCase, folder: Path, domain: str, onward: str, next: int, more: str = ""
) -> int:
    """Starts one, and waits for its greeting; the port that it listens on.

    Mails to ``domain`` go to the file ``mail/box`` of ``folder``, those to the domain ``onward`` to
    the local port ``next``; ``more`` is lines of its main.cf.
    """
    (port,) = free_ports(1)
    test.addCleanup(deferToThread, _postfix, folder, "stop")
    await deferToThread(_start, folder, port, domain, onward, next, more)
    return port


def _start(folder: Path, port: int, domain: str, onward: str, next: int, more: str) -> None:
    user = pwd.getpwnam("postfix")
    folder.chmod(0o755)
    for name in ("spool", "data", "mail", "etc"):
        (folder / name).mkdir()
    for name in ("data", "mail"):
        os.chown(folder / name, user.pw_uid, user.pw_gid)
    main = MAIN.format(
        folder=folder,
        host=f"mx.{domain}",
        domain=domain,
        onward=onward,
        next=next,
        uid=user.pw_uid,
        gid=user.pw_gid,
    )
    (folder / "etc" / "main.cf").write_text(main + more)
    (folder / "etc" / "master.cf").write_text(MASTER.format(port=port))
    made = _postfix(folder, "start")
    assert made.returncode == 0, made.stdout.decode()
    until = time.monotonic() + 20
    while True:
        try:
            smtplib.SMTP("127.0.0.1", port).quit()
            return
        except OSError:
            assert time.monotonic() < until
            time.sleep(0.05)


def _postfix(folder: Path, command: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        ["postfix", "-c", str(folder / "etc"), command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=40,
    )
