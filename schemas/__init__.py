"""What a message is, in and out: models, JSON Schema, examples and the pages generated from them."""
