"""Programs run over events in memory: rehearsal, replay of the archive, comparison."""
