from django.contrib import admin
from django.contrib.auth.admin import UserAdmin

from .models import Chat, CustomUser


@admin.register(CustomUser)
class CustomUserAdmin(UserAdmin):
    list_display = ["username", "email", "tokens", "is_staff"]
    fieldsets = [*UserAdmin.fieldsets, ("Balance", {"fields": ["tokens"]})]


admin.site.register(Chat)
