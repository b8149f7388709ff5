"""The only SQL: tables, migrations and the repositories behind the ports of the use cases."""
