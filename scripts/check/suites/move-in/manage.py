"""Django's commands, for the project that DJANGO_SETTINGS_MODULE names."""

import sys

from django.core.management import execute_from_command_line

execute_from_command_line(sys.argv)
