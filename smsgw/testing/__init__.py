"""Published doubles for tests and trials: a scriptable SMSC and a scriptable ESME."""
