"""Multimedia messages by MM4, from and to carriers' and customers' MMSCs: what comes of a mail that
``smtp`` has taken, and the messenger that brings messages and reports to customers' MMSCs."""
