"""Coverage-guided fuzzing of the laws: ``make fuzz``, or ``python tests/fuzz/run.py [LAW ...]``.

Each law runs for ``FUZZ_S`` seconds (60) in a process of its own; what it was tried with, and what
broke it, is told. An input that broke a law is written to ``tests/fuzz/corpus/LAW/``, where
``test_laws.py`` tries it from then on.
"""

import hashlib
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))


def fuzz(law: str, seconds: int) -> tuple[int, Path | None]:
    """How many inputs were tried, and the input that broke the law, kept in its corpus."""
    kept = HERE / "corpus" / law
    with tempfile.TemporaryDirectory(prefix="smsgw-fuzz-") as folder:
        grown = Path(folder, "grown")
        grown.mkdir()
        command = [sys.executable, __file__, "--one", law, str(grown)]
        command += [str(kept)] if kept.is_dir() else []
        command += [
            f"-max_total_time={seconds}",
            "-max_len=4096",
            "-timeout=10",
            "-rss_limit_mb=1024",
            f"-artifact_prefix={folder}/",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        counts = re.findall(
            r"(?:^|\n)(?:Done |stat::number_of_executed_units: |#)(\d+)", done.stderr
        )
        tried = max(map(int, counts), default=0)
        if done.returncode == 0:
            return tried, None
        sys.stderr.write(done.stdout[-4000:] + done.stderr[-4000:])
        broken = [path for path in Path(folder).iterdir() if path.is_file()]
        if not broken:
            raise SystemExit(f"{law}: the fuzzer ended with {done.returncode}")
        octets = broken[0].read_bytes()
        kept.mkdir(parents=True, exist_ok=True)
        found = kept / hashlib.sha256(octets).hexdigest()[:16]
        found.write_bytes(octets)
        return tried, found


def one(law: str, arguments: list[str]) -> None:
    """Fuzz one law in this process; does not return."""
    import atheris

    with atheris.instrument_imports(include=["smsgw"]):
        from tests.fuzz.laws import LAWS

    atheris.Setup([law, *arguments], LAWS[law])
    atheris.Fuzz()


def main(arguments: list[str]) -> int:
    """Fuzz the laws named, or all; 1 if one of them was broken."""
    if arguments[:1] == ["--one"]:
        one(arguments[1], arguments[2:])
    from tests.fuzz.laws import LAWS

    seconds = int(os.environ.get("FUZZ_S", "60"))
    broken = 0
    for law in arguments or LAWS:
        tried, found = fuzz(law, seconds)
        broken += found is not None
        print(f"{law}: {tried:,} inputs, " + (f"broken by {found}" if found else "nothing found"))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
