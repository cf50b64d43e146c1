import secrets

from django.contrib.auth.models import AbstractUser
from django.db import models


class User(AbstractUser):
    tokens = models.IntegerField(default=4000)


def generate_key():
    return secrets.token_hex(20)


class Token(models.Model):
    key = models.CharField(max_length=40, primary_key=True, default=generate_key)
    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="auth_token")
    created = models.DateTimeField(auto_now_add=True)


class Chat(models.Model):
    user = models.ForeignKey(User, on_delete=models.CASCADE)
    message = models.TextField()
    response = models.TextField()
    timestamp = models.DateTimeField(auto_now_add=True)
