"""What the runtime needs of Kafka: reading, publishing, topics, offsets, and the bounds on what a batch unpacks to."""
