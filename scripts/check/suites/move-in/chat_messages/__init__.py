"""A chat app with Django's own users, a profile with each user's tokens, and the JWTs of
djangorestframework-simplejwt."""
