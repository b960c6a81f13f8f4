"""Installs what only some tests need (tshark, Node.js) where apt-get and root are there; ``make
test`` runs it."""

import os
import shutil
import subprocess
import sys

# Program -> the Debian package that has it.
TOOLS = {"tshark": "tshark", "node": "nodejs", "npm": "npm"}


def main() -> int:
    """Installs what is missing; tells what stays missing, which fails with CI=true."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing and shutil.which("apt-get") and os.geteuid() == 0:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        packages = [TOOLS[tool] for tool in missing]
        for command in (["update", "-qq"], ["install", "-y", "-qq", *packages]):
            subprocess.run(["apt-get", *command], env=environment, stdout=subprocess.DEVNULL)
        missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    for tool in missing:
        print(f"{tool} is not installed: tests that need it are skipped", file=sys.stderr)
    return 1 if missing and os.environ.get("CI") == "true" else 0


if __name__ == "__main__":
    sys.exit(main())
