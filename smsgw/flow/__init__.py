"""The journey of a message, in the order of design section 3: read the files in this order and you
know the product.

``accept`` → ``decide`` → ``route`` → ``send`` → ``settle`` (and ``expiry``) → ``receipts`` →
``ending`` → ``inbound`` → ``handover`` (sessions) and ``deliver`` (other ``targets``; ``forward``
to handsets) → ``dead``, which ends what they hand over.
Long messages: parts that an ESME cut keep ``company``, those of a carrier that takes them ``whole``
ride together, those of an MO ``join``.
What receipts are matched with in memory is in ``awaited``, which ``settle`` fills.
What an account may still spend is in ``money``, which ``accept`` and ``settle`` consult.
Which routes of an account are for what it receives is in ``actions``; ``replay`` tells it again.
Who thinks again finds the message in ``pending``, which cancels it, or ``replace``.
"""
