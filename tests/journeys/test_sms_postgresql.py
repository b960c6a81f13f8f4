"""The journeys of ``test_sms`` with the store on PostgreSQL."""

import os
from unittest import mock

from twisted.internet.defer import Deferred

from tests.journeys import test_sms


class PostgresqlSmsTest(test_sms.SmsTest):
    """The same rules hold, whatever the store."""

    def setUp(self) -> "Deferred[None]":
        with mock.patch.dict(os.environ, SMSGW_TEST_STORE="postgresql"):
            return super().setUp()
