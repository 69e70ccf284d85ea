"""The runtime's own tables: watermark, archive, outbox, dead letters."""
