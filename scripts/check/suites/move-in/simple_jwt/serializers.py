from rest_framework import serializers

from .models import Chat, CustomUser


class RegisterSerializer(serializers.ModelSerializer):
    password2 = serializers.CharField(write_only=True)

    class Meta:
        model = CustomUser
        fields = ["id", "username", "email", "password", "password2", "tokens"]
        read_only_fields = ["tokens"]
        extra_kwargs = {"password": {"write_only": True}}

    def validate(self, data):
        if data["password"] != data.pop("password2"):
            raise serializers.ValidationError({"password2": "The passwords differ."})
        return data

    def create(self, data):
        return CustomUser.objects.create_user(**data)


class UserSerializer(serializers.ModelSerializer):
    class Meta:
        model = CustomUser
        fields = ["id", "username", "email", "first_name", "last_name", "tokens", "date_joined"]


class ChatSerializer(serializers.ModelSerializer):
    class Meta:
        model = Chat
        fields = ["id", "message", "response", "timestamp"]
        read_only_fields = ["response", "timestamp"]
