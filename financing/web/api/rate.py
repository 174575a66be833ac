"""How often a machine may ask: a bucket of requests that fills up again.

The buckets lie in Redis, where losing one harms nobody: without Redis nobody is held up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from redis import Redis, RedisError

REQUESTS: Final = 600
WINDOW_S: Final = 60
POLICY: Final = f'"default";q={REQUESTS};w={WINDOW_S}'

# Tokens left, and when they were counted; Redis' own clock, so that processes agree.
TAKE: Final = """
    local now = redis.call('TIME')
    now = now[1] + now[2] / 1000000
    local known = redis.call('HMGET', KEYS[1], 'left', 'at')
    local size, refill = tonumber(ARGV[1]), tonumber(ARGV[1]) / tonumber(ARGV[2])
    local left = math.min(size, (tonumber(known[1]) or size)
        + (now - (tonumber(known[2]) or now)) * refill)
    local taken = left >= 1
    if taken then left = left - 1 end
    redis.call('HSET', KEYS[1], 'left', tostring(left), 'at', string.format('%.6f', now))
    redis.call('EXPIRE', KEYS[1], ARGV[2])
    return {taken and 1 or 0, math.floor(left), math.ceil((size - left) / refill)}
"""


class Allowance(NamedTuple):
    """Whether a request may pass, what is left, and in how many seconds the bucket is full."""

    is_granted: bool
    left: int
    full_s: int

    @property
    def header(self) -> str:
        return f'"default";r={self.left};t={self.full_s}'


Take = Callable[[str], Allowance | None]


def bucket(url: str | None) -> Take:
    """A function that takes one request out of a machine's bucket; None where nobody counts."""
    if url is None:
        return lambda _who: None
    script = Redis.from_url(url, socket_timeout=0.5, socket_connect_timeout=0.5).register_script(
        TAKE
    )

    def take(who: str) -> Allowance | None:
        try:
            taken, left, full_s = script(keys=[f"rate:{who}"], args=[REQUESTS, WINDOW_S])
        except RedisError:
            return None
        return Allowance(bool(taken), left, full_s)

    return take
