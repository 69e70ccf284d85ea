"""Every event that crosses Kafka: one module a topic, and the CloudEvents envelope around them all."""
