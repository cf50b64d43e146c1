def answer(message):
    """The answer of an AI that costs nothing."""
    return f"You said: {message}"
