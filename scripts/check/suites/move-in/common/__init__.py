"""What the five projects share: settings, password hashers with little work, the AI, and the commands that this check adds."""
