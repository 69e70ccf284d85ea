"""The stream runtime: how a batch of records becomes state, exactly once, and messages, at least once."""
