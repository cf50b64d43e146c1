from django.contrib.auth.models import AbstractUser, UserManager
from django.db import models


class CustomUserManager(UserManager):
    def create_superuser(self, *names, **more):
        return super().create_superuser(*names, tokens=10_000, **more)


class CustomUser(AbstractUser):
    tokens = models.PositiveIntegerField(default=4000)

    objects = CustomUserManager()


class Chat(models.Model):
    user = models.ForeignKey(CustomUser, on_delete=models.CASCADE, related_name="chats")
    message = models.TextField()
    response = models.TextField()
    timestamp = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-timestamp"]

    def __str__(self):
        return f"{self.user}: {self.message[:50]}"
