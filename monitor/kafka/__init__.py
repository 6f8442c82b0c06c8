"""What everybody needs who talks to Kafka: names of topics, how to connect, and what the records look like."""
