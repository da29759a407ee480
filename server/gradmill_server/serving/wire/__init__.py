"""Between the messages of `gradmill.v1` and the engine. Nothing else in the server knows the messages."""
