from common.settings import *  # noqa: F403

INSTALLED_APPS += ["chat_messages"]  # noqa: F405
ROOT_URLCONF = "chat_messages.urls"
REST_FRAMEWORK = {"DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework_simplejwt.authentication.JWTAuthentication"]}
