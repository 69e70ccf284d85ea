"""The embedded stack, the data sets that it replays, and the demonstration."""
