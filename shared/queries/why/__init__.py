"""Why: what an id names, and the explanation of it."""
