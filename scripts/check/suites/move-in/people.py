"""The people who log in, first at Django and then at Farebox. There is one for each hasher, and two
whose hashes have Django's default cost."""

import sys
from typing import NamedTuple


class Person(NamedTuple):
    username: str
    email: str
    password: str
    hasher: str
    tokens: int
    first_name: str = ""
    last_name: str = ""


PEOPLE = [
    Person("Ann", "Ann@example.com", "testpass123", "common.hashers.PBKDF2", 4000, "Ann", "O'Neill-Smith"),
    Person("björn", "bjorn@example.com", "Straße 12, Köln", "common.hashers.PBKDF2SHA1", 100_000, "Björn"),
    # Django doesn't normalise passwords. This one contains combining characters and compatibility
    # characters.
    Person("мария.2", "maria@example.com", "пароль Й пассворт ﬁ ①", "common.hashers.Argon2", 12_345, "Мария", "Ёлкина"),
    Person("安娜", "anna@example.com", "correct horse battery staple " * 5 + "end", "common.hashers.BCryptSHA256", 700),
    Person("nikos+1", "nikos@example.com", "x", "common.hashers.BCrypt", 1000),
    Person("김철수", "kim@example.com", "비밀번호-1234", "django.contrib.auth.hashers.ScryptPasswordHasher", 99_999),
    Person("real-pbkdf2", "real1@example.com", "StrongPass123!", "django.contrib.auth.hashers.PBKDF2PasswordHasher", 5000),
    # A username that is an address.
    Person("real2@example.com", "real2@example.com", "strongpassword", "django.contrib.auth.hashers.Argon2PasswordHasher", 4100),
]

if __name__ == "__main__":
    # Prints a line for each person: the field with which the project's people log in, and the
    # password.
    for person in PEOPLE:
        print(getattr(person, sys.argv[1]), person.password, sep="\t")
