"""A chat app with the JWTs of djangorestframework-simplejwt, profiles and an admin interface."""
