import os

SECRET_KEY = "a secret of these five projects, which no deployment has"
ALLOWED_HOSTS = ["127.0.0.1"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["DATABASE"]}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "rest_framework", "common"]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]

# The first hasher makes new hashes. The other hashers made the hashes in earlier years.
PASSWORD_HASHERS = [
    "common.hashers.PBKDF2",
    "common.hashers.PBKDF2SHA1",
    "common.hashers.Argon2",
    "common.hashers.BCryptSHA256",
    "common.hashers.BCrypt",
    "django.contrib.auth.hashers.ScryptPasswordHasher",
]
