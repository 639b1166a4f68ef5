"""Results -> text, data: how things look, and nothing about what they mean."""
