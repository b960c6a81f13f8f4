"""Installs what only some tests need (tshark, Node.js) where apt-get and root are there; ``make
test`` runs it."""

import os
import shutil
import subprocess
import sys

# Program, file, or module of Perl -> the Debian package that has it.
TOOLS = {
    "tshark": "tshark",
    "node": "nodejs",
    "npm": "npm",
    "curl": "curl",
    "swaks": "swaks",
    "postfix": "postfix",
    "pdftotext": "poppler-utils",
    "rabbitmq-server": "rabbitmq-server",
    "chromium": "chromium",
    "haproxy": "haproxy",
    "/usr/lib/postgresql/15/bin/postgres": "postgresql",
    "SMS::AQL": "libsms-aql-perl",
    "Net::SMPP": "libnet-smpp-perl",
    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf": "fonts-dejavu-core",
}


def has(tool: str) -> bool:
    """True if it is installed."""
    if tool.startswith("/"):
        return os.path.exists(tool)
    if "::" not in tool:
        return shutil.which(tool) is not None
    if shutil.which("perl") is None:
        return False
    return subprocess.run(["perl", f"-M{tool}", "-e1"], stderr=subprocess.DEVNULL).returncode == 0


def main() -> int:
    """Installs what is missing; tells what stays missing, which fails with CI=true."""
    missing = [tool for tool in TOOLS if not has(tool)]
    if missing and shutil.which("apt-get") and os.geteuid() == 0:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        packages = [TOOLS[tool] for tool in missing]
        for command in (["update", "-qq"], ["install", "-y", "-qq", *packages]):
            subprocess.run(["apt-get", *command], env=environment, stdout=subprocess.DEVNULL)
        missing = [tool for tool in TOOLS if not has(tool)]
    for tool in missing:
        print(f"{tool} is not installed: tests that need it are skipped", file=sys.stderr)
    return 1 if missing and os.environ.get("CI") == "true" else 0


if __name__ == "__main__":
    sys.exit(main())
