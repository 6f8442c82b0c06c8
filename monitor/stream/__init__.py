"""The stream on Kafka: the engine that hands sites and their messages to workers, and the workers."""
