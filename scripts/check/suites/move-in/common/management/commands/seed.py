"""Fills a database with users and chats from the last few years."""

import random
from datetime import UTC, datetime, timedelta

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand
from django.db import transaction
from django.utils import timezone
from django.utils.module_loading import import_string
from people import PEOPLE

from ...models import chat_model, profile_model

HASHERS = {
    "common.hashers.PBKDF2": 80,
    "common.hashers.PBKDF2SHA1": 4,
    "common.hashers.Argon2": 4,
    "common.hashers.BCryptSHA256": 4,
    "common.hashers.BCrypt": 4,
    "django.contrib.auth.hashers.ScryptPasswordHasher": 4,
}
NAMES = ["ann", "Ben.", "josé-", "Łukasz_", "мария", "ΝΊΚΟΣ", "李", "たろう", "김", "دانا", "נועה", "ჯონი", "สมชาย", "anna安娜", "x+"]
# Text in many writing systems, with characters that JSON, SQL, HTML and terminals treat specially.
TEXTS = [
    "What is a fare? Where does the tram stop? ",
    "Grüße aus Köln: 5 € für Äpfel, façade, naïve, Ærøskøbing. ",
    "Сколько стоит билет до Ёлкино? ",
    "运费是多少？電車はどこですか。요금이 얼마예요? ",
    "कितना किराया है? ราคาเท่าไร อัตรา ",
    "كم الأجرة؟ \u200fכמה עולה\u200e ",
    "👩‍👩‍👧‍👦 🇩🇪 👍🏽 🏴󠁧󠁢󠁳󠁣󠁴󠁿 ☠️ ",
    "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L̠ͨͧͩ͘G̴̻͈͍͔̹̑͗̎̅͛́Ǫ̵̹̻̝̳͂̌̌͘! ",
    "𝕱𝖗𝖆𝖐𝖙𝖚𝖗 𐍈 𠜎 \U0010fffd ﷺ ① ﬁ ½ ",
    'a "quote", a \\ backslash, \\u0000, <b>&amp;</b>, </script>, {"json": [1]}, %s, $x, `x`, \'; DROP TABLE x; -- ',
    "one\ntwo\r\nthree\tfour\u2028five\u2029six\x01\x1b[31m\x7f\x85\ufeff\u200b\ufffd\uffff ",
    '```rust\nfn main() { println!("hi"); }\n```\n| a | b |\n|---|---|\n- [ ] $x^2$ ',
]


def moment(begin, end):
    """Returns a random time between the two, with microseconds. A few times have none, as if an
    administrator had typed them."""
    made = begin + (end - begin) * random.random()
    return made.replace(microsecond=0) if random.random() < 0.02 else made


class Texts:
    def __init__(self):
        # Pieces in a single writing system, and pieces that mix all writing systems.
        self.pools = [piece * (2100 // len(piece) + 1) for piece in TEXTS]
        self.pools += ["".join(random.choices(TEXTS, k=200)) for _ in range(20)]

    def __call__(self):
        """Returns a string of 5 to 2,000 characters. Most strings are short."""
        length = 5 + int(1996 * random.random() ** 4)
        pool = random.choice(self.pools)
        start = random.randrange(len(pool) - length)
        text = pool[start : start + length]
        return text if text.strip() else "hello"


def hashed(hasher, password):
    hasher = import_string(hasher)()
    return hasher.encode(password, hasher.salt())


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser):
        parser.add_argument("--users", type=int, required=True)
        parser.add_argument("--chats", type=int, required=True)
        parser.add_argument("--random", type=int, default=1)

    @transaction.atomic
    def handle(self, users, chats, **options):
        random.seed(options["random"])
        User, Chat, Profile = get_user_model(), chat_model(), profile_model()
        fields = {field.name for field in User._meta.fields}
        begin, end = datetime(2021, 1, 1, tzinfo=UTC), timezone.now() - timedelta(days=1)
        # Users who never log in share one hash for each hasher.
        shared = {hasher: hashed(hasher, "the password of many") for hasher in HASHERS}

        def user(number):
            if number < len(PEOPLE):
                person = PEOPLE[number]
                return person._asdict() | {"password": hashed(person.hasher, person.password)}
            name = f"{random.choice(NAMES)}{number}"
            email = random.choice([f"{number}@Example.org", f"user.{number}+chat@example.com", ""])
            if number % 50 == 0:
                name = email = f"by-address-{number}@example.com"
            return {
                "username": name,
                "email": email or f"{number}@example.net" * (User.USERNAME_FIELD == "email"),
                "first_name": random.choice(["", "Ann", "Åse", "李"]),
                "last_name": random.choice(["", "Smith", "d'Arc", "Нова"]),
                "password": random.choices(list(shared.values()), list(HASHERS.values()))[0],
                "tokens": random.choice([0, 100, 4000, 100_000, random.randint(0, 100_000)]),
                "is_active": number % 20 != 10,
                "is_staff": number % 40 == 19,
            }

        made, tokens = [], []
        for number in range(users):
            values = user(number)
            if number == len(PEOPLE):
                values |= {"username": "root", "email": "root@example.com", "is_staff": True, "is_superuser": True, "is_active": True}
            tokens.append(values["tokens"])
            joined = moment(begin, end - timedelta(days=100))
            made.append(User(date_joined=joined, **{name: value for name, value in values.items() if name in fields}))
        User.objects.bulk_create(made, batch_size=1000)
        if Profile:
            Profile.objects.bulk_create([Profile(user=user, tokens=left) for user, left in zip(made, tokens, strict=True)], batch_size=1000)

        # The people who log in have the same number of chats each. Of the other users, some have no
        # chats, and a few have many.
        text, taken, rows = Texts(), set(), []
        several = min(30, chats // (4 * len(PEOPLE)))
        # bulk_create would set the current time.
        Chat._meta.get_field("timestamp").auto_now_add = False
        for number in range(chats):
            owner = number // several if number < several * len(PEOPLE) else int(users * random.random() ** 2)
            time = max(moment(made[owner].date_joined, end), made[owner].date_joined)
            while (owner, int(time.timestamp() * 1000)) in taken:
                time += timedelta(milliseconds=1)
            taken.add((owner, int(time.timestamp() * 1000)))
            rows.append(Chat(user=made[owner], message=text(), response=text(), timestamp=time))
            if len(rows) == 5000:
                Chat.objects.bulk_create(rows, batch_size=1000)
                rows.clear()
        Chat.objects.bulk_create(rows, batch_size=1000)
