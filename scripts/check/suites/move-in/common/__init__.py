"""Code that the five projects share: settings, fast password hashers, the AI, and the commands that
this check adds."""
