"""Connections to Postgres, and the migrations that make its tables."""
