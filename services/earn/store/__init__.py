"""earn's SQL, and the rows that its decisions write."""
