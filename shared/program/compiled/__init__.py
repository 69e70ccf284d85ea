"""The compiled program: what does not depend on an event is computed once per version."""
