from datetime import timedelta

from common.admin_settings import *

INSTALLED_APPS += ["rest_framework_simplejwt.token_blacklist", "simple_jwt"]
ROOT_URLCONF = "simple_jwt.urls"
AUTH_USER_MODEL = "simple_jwt.CustomUser"
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework_simplejwt.authentication.JWTAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
}
SIMPLE_JWT = {"ACCESS_TOKEN_LIFETIME": timedelta(hours=1)}
