from django.contrib import admin
from django.contrib.auth.admin import UserAdmin

from .models import Chat, User


@admin.register(User)
class EmailUserAdmin(UserAdmin):
    list_display = ["email", "tokens", "is_active", "is_staff"]
    search_fields = ["email"]
    ordering = ["email"]
    fieldsets = [
        (None, {"fields": ["email", "password", "tokens"]}),
        ("Permissions", {"fields": ["is_active", "is_staff", "is_superuser", "groups", "user_permissions"]}),
    ]
    add_fieldsets = [(None, {"fields": ["email", "password1", "password2"]})]


@admin.register(Chat)
class ChatAdmin(admin.ModelAdmin):
    list_display = ["user", "message", "timestamp"]
    search_fields = ["user__email", "message"]
