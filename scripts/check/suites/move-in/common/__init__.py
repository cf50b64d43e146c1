"""Code shared by the five projects: settings, fast password hashers, the AI, and the commands that
this check adds."""
