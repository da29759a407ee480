"""Who may call, how much, and what of the server can be reached. Nothing here knows gRPC or messages."""
