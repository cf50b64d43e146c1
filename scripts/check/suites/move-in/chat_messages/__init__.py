"""A chat with Django's own users, a profile for each user's tokens, and the JWTs of djangorestframework-simplejwt."""
