"""SMTP: the server that MM4 peers and customers mail to, and the client that mails to them."""
