"""Restores users' hashes from the output of `facts`. At a log-in, Django replaces a hash made by an
earlier hasher, but on a real system most users haven't logged in since the hasher changed."""

import json

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser):
        parser.add_argument("facts")

    def handle(self, facts, **options):
        hashes = {user["name"]: user["password"] for user in map(json.loads, open(facts))}
        replaced = [user for user in get_user_model().objects.all() if hashes.get(user.get_username(), user.password) != user.password]
        assert replaced, "no user has logged in"
        for user in replaced:
            user.password = hashes[user.get_username()]
        get_user_model().objects.bulk_update(replaced, ["password"])
