"""Folders for tests that need files."""

import shutil
import tempfile

from twisted.trial.unittest import SynchronousTestCase


def temporary_folder(test: SynchronousTestCase) -> str:
    """A new folder that is gone after the test."""
    folder = tempfile.mkdtemp(prefix="smsgw-test-")
    test.addCleanup(shutil.rmtree, folder, ignore_errors=True)
    return folder
