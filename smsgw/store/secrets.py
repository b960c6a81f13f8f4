"""Secrets at rest.

Logins are hashed with argon2id, passwords that must be sent on are encrypted with a key beside the
store.
"""

import hmac
import os
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from cryptography.fernet import Fernet, InvalidToken

# OWASP's second choice for argon2id: 19 MiB, two passes. About 25 ms; a good login is remembered in
# memory.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
KEY_FILE = "smsgw.key"


class SecretsUnusable(Exception):
    """The key file is missing, damaged or of another store.

    The text is one line that says what to do.
    """


def hash_password(password: str) -> str:
    """The argon2id hash of a login's password, with its parameters and a fresh salt."""
    return _HASHER.hash(password)


def verify(password_hash: str, password: str) -> bool:
    """Whether ``password`` is the one that was hashed.

    In constant time. False for what is no hash.
    """
    try:
        return _HASHER.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False


class Vault:
    """Encrypts with the key in ``path``, which its first use makes, readable by its owner only."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fernet: Fernet | None = None

    def encrypt(self, secret: str) -> str:
        """``secret`` as text for the store. Raises SecretsUnusable."""
        return self._key(make=True).encrypt(secret.encode()).decode("ascii")

    def decrypt(self, kept: str) -> str:
        """The secret of what ``encrypt`` gave. Raises SecretsUnusable."""
        try:
            return self._key(make=False).decrypt(kept.encode()).decode()
        except InvalidToken:
            raise SecretsUnusable(
                f"{self._path}: this is not the key that the store's carrier passwords were "
                "encrypted with; restore the right file"
            ) from None

    def derived(self, purpose: str) -> bytes:
        """A key of 32 octets for another ``purpose``, the same at every start. Raises
        SecretsUnusable."""
        self._key(make=True)
        return hmac.digest(self._path.read_bytes().strip(), purpose.encode(), "sha256")

    def _key(self, make: bool) -> Fernet:
        if self._fernet is None:
            try:
                if make:
                    self._make()
                self._fernet = Fernet(self._path.read_bytes().strip())
            except FileNotFoundError:
                raise SecretsUnusable(
                    f"{self._path}: missing; restore it, the store's carrier passwords need it"
                ) from None
            except OSError as error:
                raise SecretsUnusable(
                    f"{self._path}: {error.strerror}; it must be readable by the gateway's user"
                ) from None
            except ValueError:
                raise SecretsUnusable(f"{self._path}: damaged; restore it from a backup") from None
        return self._fernet

    def _make(self) -> None:
        """Write a new key unless there is one.

        It is complete on disk before it has its name (I1).
        """
        if self._path.exists():
            return
        new = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, Fernet.generate_key() + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        try:
            os.link(new, self._path)
        except FileExistsError:
            # Another process was faster: its key is the one.
            pass
        finally:
            new.unlink()
