"""The journey of a message, in the order of design section 3: read the files in this order and you
know the product.

``accept`` → ``decide`` → ``route`` → ``send`` → ``settle`` (and ``expiry``) → ``receipts`` →
``inbound`` → ``handover``.
What an account may still spend is in ``money``, which ``accept`` and ``settle`` consult.
"""
