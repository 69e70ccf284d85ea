"""PostgreSQL and a Kafka broker from Python packages (or Maven artifacts), for machines without Docker."""
