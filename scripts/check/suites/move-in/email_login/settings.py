from common.admin_settings import *

INSTALLED_APPS += ["rest_framework.authtoken", "email_login"]
ROOT_URLCONF = "email_login.urls"
AUTH_USER_MODEL = "email_login.User"
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.TokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
}
