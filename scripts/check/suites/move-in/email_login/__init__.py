"""A chat app whose users log in with their e-mail address. It uses djangorestframework's tokens and
has an admin interface."""
