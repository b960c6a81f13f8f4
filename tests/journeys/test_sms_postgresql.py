"""The journeys of ``test_sms`` with the store on PostgreSQL."""

import os
from unittest import mock

from twisted.internet.defer import Deferred

from tests.journeys import test_sms


class PostgresqlSmsTest(test_sms.SmsTest):
    """The same rules hold, whatever the store."""

    # Decided before the store is asked, or after: with one of them is enough.
    test_a_carrier_that_throttles_is_sent_less = None
    test_a_carrier_with_two_connections_for_one_link = None
    test_a_text_that_gsm_does_not_have_goes_in_ucs2 = None
    test_flash = None
    test_no_route_is_refused = None
    test_the_longest_prefix_wins = None

    def setUp(self) -> "Deferred[None]":
        with mock.patch.dict(os.environ, SMSGW_TEST_STORE="postgresql"):
            return super().setUp()
