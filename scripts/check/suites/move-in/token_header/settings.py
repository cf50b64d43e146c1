from common.settings import *

INSTALLED_APPS += ["token_header"]
ROOT_URLCONF = "token_header.urls"
AUTH_USER_MODEL = "token_header.User"
