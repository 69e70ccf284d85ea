"""PostgreSQL and a Kafka broker on a bare machine: prepared and started from Python packages (or Maven artifacts)."""
