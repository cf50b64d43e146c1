from django.urls import path
from rest_framework_simplejwt.views import TokenObtainPairView, TokenRefreshView

from . import views

urlpatterns = [
    path("api/register/", views.register),
    path("api/login/", TokenObtainPairView.as_view()),
    path("api/token/", TokenObtainPairView.as_view()),
    path("api/token/refresh/", TokenRefreshView.as_view()),
    path("api/chat_msg/", views.chat_msg),
    path("api/tokenbalance/", views.tokenbalance),
]
