"""A folder with a configuration, and commands run in it on the store alone."""

from pathlib import Path

from click.testing import CliRunner, Result

from smsgw import cli


def a_place(folder: Path) -> Path:
    """``folder`` with a configuration whose store and admin socket are in it."""
    (folder / "smsgw.toml").write_text(
        f'[store]\nurl = "sqlite:///{folder}/smsgw.db"\n'
        f'[http]\nadmin = ["unix:{folder}/admin.sock:mode=600"]\n'
    )
    return folder


def run(place: Path, *arguments: str) -> Result:
    """What ``smsgw -c CONFIG`` with these arguments says."""
    return CliRunner().invoke(cli.main, ["-c", str(place / "smsgw.toml"), *arguments])


def apply(place: Path, text: str, *options: str) -> Result:
    """``smsgw apply --yes`` of TOML text."""
    (place / "p.toml").write_text(text)
    return run(place, "apply", "--yes", *options, str(place / "p.toml"))
