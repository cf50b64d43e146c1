"""A chat whose users log in with their e-mail address, with the tokens of djangorestframework and an admin interface."""
