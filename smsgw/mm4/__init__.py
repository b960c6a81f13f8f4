"""MM4 (3GPP TS 23.140 clause 8.4): multimedia messages between MMSCs, as mails.

Pure: octets in, values out, and back.
"""
