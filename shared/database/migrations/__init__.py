"""Numbered SQL files; each is applied once, in order, and never changed afterwards."""
