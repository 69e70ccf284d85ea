"""The read side: what CLI, API and console show. No printing here."""
