from common.settings import *

INSTALLED_APPS += ["chat_messages"]
ROOT_URLCONF = "chat_messages.urls"
REST_FRAMEWORK = {"DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework_simplejwt.authentication.JWTAuthentication"]}
