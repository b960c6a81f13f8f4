"""What measures speed: load generators, a sink, the scenarios of ``make bench``; never a test."""
