from common.settings import *  # noqa: F403

INSTALLED_APPS += ["token_header"]  # noqa: F405
ROOT_URLCONF = "token_header.urls"
AUTH_USER_MODEL = "token_header.User"
