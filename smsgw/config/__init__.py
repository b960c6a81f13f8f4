"""The configuration file ``etc/smsgw.toml`` as attrs classes.

Every fault names the file, the line and the key.
"""

from pathlib import Path

from smsgw.config.checks import check, without_effect
from smsgw.config.sections import (
    Config,
    Domains,
    Http,
    HttpSite,
    Log,
    Media,
    Node,
    Smpp,
    SmppListener,
    Smtp,
    Store,
)
from smsgw.config.values import checked_endpoint
from smsgw.toml import Reader

__all__ = [
    "DEFAULT",
    "Config",
    "ConfigError",
    "Domains",
    "Http",
    "HttpSite",
    "Log",
    "Media",
    "Node",
    "Smpp",
    "SmppListener",
    "Smtp",
    "Store",
    "checked_endpoint",
    "find",
    "load",
    "parse",
]

DEFAULT = "etc/smsgw.toml"  # the file that is read if none is named


class ConfigError(Exception):
    """A configuration that cannot be used; ``lines`` has one line for each fault."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


def find(named: str | None) -> Config:
    """The configuration of a command: in the file that its ``-c`` names, else in ``DEFAULT``.

    Only the latter may be absent: a mistyped name must not start a gateway with all defaults.
    Raises ConfigError.
    """
    if named is None:
        return load(DEFAULT)
    try:
        Path(named).stat()
    except FileNotFoundError:
        raise ConfigError([f"{named}: no such file; name an existing one with -c"]) from None
    except OSError:
        pass  # load tells it
    return load(named)


def load(path: str | Path | None = None) -> Config:
    """The configuration in the file ``path``; all defaults if it is None or no such file is there.

    Raises ConfigError with all faults of the file.
    """
    if path is None:
        return Config()
    try:
        content = Path(path).read_text("utf-8")
    except FileNotFoundError:
        return Config()
    except UnicodeDecodeError:
        raise ConfigError([f"{path}:1: TOML: not UTF-8; save the file as UTF-8"]) from None
    except OSError as error:
        raise ConfigError([f"{path}:1: file: {error.strerror}; make it readable"]) from None
    return parse(content, str(path))


def parse(content: str, file: str = "smsgw.toml") -> Config:
    """The configuration in ``content``.

    ``file`` is the name that faults show. Raises ConfigError.
    """
    reader = Reader(content, file)
    reader.dots = True
    config = reader.build(Config, reader.table) or Config()
    check(config, reader)
    if reader.lines:
        raise ConfigError(reader.lines)
    config.notices = without_effect(config, reader)
    return config
