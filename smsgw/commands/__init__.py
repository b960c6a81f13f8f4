"""The commands of ``smsgw``, each a click command that ``smsgw.cli`` lists."""
