"""The engine: graphs and arrays in, arrays out. A pure library that knows no transport."""
