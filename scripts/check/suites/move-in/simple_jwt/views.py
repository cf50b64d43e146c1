from common.ai import answer
from django.db import transaction
from django.db.models import F
from rest_framework import generics, status
from rest_framework.permissions import AllowAny
from rest_framework.response import Response
from rest_framework.views import APIView

from .models import CustomUser
from .serializers import ChatSerializer, RegisterSerializer, UserSerializer

PRICE = 100


class RegisterView(generics.CreateAPIView):
    serializer_class = RegisterSerializer
    permission_classes = [AllowAny]


class ChatView(generics.ListCreateAPIView):
    serializer_class = ChatSerializer

    def get_queryset(self):
        return self.request.user.chats.all()

    def create(self, request, *args, **kwargs):
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        with transaction.atomic():
            paid = CustomUser.objects.filter(pk=request.user.pk, tokens__gte=PRICE).update(tokens=F("tokens") - PRICE)
            if not paid:
                return Response({"detail": "Insufficient tokens."}, status.HTTP_402_PAYMENT_REQUIRED)
            serializer.save(user=request.user, response=answer(serializer.validated_data["message"]))
        request.user.refresh_from_db()
        return Response({**serializer.data, "remaining_tokens": request.user.tokens})


class BalanceView(APIView):
    def get(self, request):
        return Response({"tokens": request.user.tokens})


class ProfileView(generics.RetrieveAPIView):
    serializer_class = UserSerializer

    def get_object(self):
        return self.request.user
