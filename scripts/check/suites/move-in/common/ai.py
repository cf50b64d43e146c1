def answer(message):
    """Returns the answer of an AI that costs nothing."""
    return f"You said: {message}"
