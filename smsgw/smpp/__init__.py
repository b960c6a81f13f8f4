"""SMPP 3.3, 3.4 and what is worth having of 5.0: pure parts below, Twisted's side above."""
