"""Pure decisions from compiled tables in memory: routes, limits."""
