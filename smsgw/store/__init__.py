"""The store: schema, migrations, the journal that writes, and what reads."""
