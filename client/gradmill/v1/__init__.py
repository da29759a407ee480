"""Messages of the contract, generated from proto/gradmill/v1 by proto/generate.py."""
