from common.settings import *  # noqa: F403

INSTALLED_APPS += ["token_body"]  # noqa: F405
ROOT_URLCONF = "token_body.urls"
AUTH_USER_MODEL = "token_body.ChatUser"
