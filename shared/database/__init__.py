"""Connections to Postgres, migrations and roles."""
