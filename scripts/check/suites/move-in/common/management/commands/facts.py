"""Prints a line of JSON for each user in Django's database, with the user's chats, newest first."""

import json

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand

from ...models import chat_model, purse_of


def millis(time):
    return (int(time.timestamp()) * 1_000_000 + time.microsecond) // 1000


class Command(BaseCommand):
    help = __doc__

    def handle(self, **options):
        chats = {}
        for user, *chat, time in chat_model().objects.order_by("timestamp").values_list("user_id", "message", "response", "timestamp").iterator():
            chats.setdefault(user, []).insert(0, [*chat, millis(time)])
        users = get_user_model().objects.order_by("date_joined")
        for user in users.iterator() if hasattr(get_user_model(), "tokens") else users.select_related("profile").iterator():
            about = {
                "name": user.get_username(),
                "joined": millis(user.date_joined),
                "tokens": purse_of(user).tokens,
                "chats": chats.get(user.pk, []),
            }
            about |= {name: getattr(user, name, "") for name in ["password", "email", "first_name", "last_name", "is_active", "is_superuser"]}
            self.stdout.write(json.dumps(about))
