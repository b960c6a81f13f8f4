"""Token buckets: how much may pass now, and when more may."""

# Sums of floats fall just short of a token that is due now.
_EPSILON = 1e-6


class TokenBucket:
    """Lets ``rate`` tokens a second pass, ``burst`` at once; time is given by the caller in
    seconds.

    A rate of 0 is no limit.
    """

    __slots__ = ("_at", "_tokens", "burst", "rate")

    def __init__(self, rate: float, burst: float | None = None) -> None:
        self.rate = rate
        self.burst = burst if burst is not None else max(1.0, rate)
        self._tokens = self.burst
        self._at = 0.0

    def available(self, now: float) -> int:
        """Whole tokens that may be taken now, none while some are owed; a large number without a
        limit."""
        if not self.rate:
            return 1 << 30
        self._fill(now)
        return max(0, int(self._tokens + _EPSILON))

    def allows(self, tokens: int, now: float) -> bool:
        """True if there are that many tokens; more than the burst pass when the bucket is full."""
        if not self.rate:
            return True
        self._fill(now)
        # Some submits (parts of a long message) cost more than the bucket holds: they borrow.
        return self._tokens + _EPSILON >= min(tokens, self.burst)

    def take(self, tokens: int, now: float) -> bool:
        """Takes the tokens if there are that many, as ``allows`` says."""
        if not self.allows(tokens, now):
            return False
        if self.rate:
            self._tokens -= tokens
        return True

    def spend(self, tokens: int, now: float) -> None:
        """Takes tokens that are used in any case; those that are not there are owed."""
        if self.rate:
            self._fill(now)
            self._tokens -= tokens

    def wait(self, now: float) -> float:
        """Seconds until one token is there."""
        if not self.rate:
            return 0.0
        self._fill(now)
        return max(0.0, (1.0 - self._tokens) / self.rate)

    def _fill(self, now: float) -> None:
        # A clock that goes back gives nothing and takes nothing.
        if now > self._at:
            self._tokens = min(self.burst, self._tokens + (now - self._at) * self.rate)
        self._at = now
