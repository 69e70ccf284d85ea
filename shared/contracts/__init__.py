"""Every event that crosses Kafka: one module per topic, and the CloudEvents envelope."""
