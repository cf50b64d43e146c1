from common.settings import *

INSTALLED_APPS += ["token_body"]
ROOT_URLCONF = "token_body.urls"
AUTH_USER_MODEL = "token_body.ChatUser"
