from django.contrib import admin
from django.urls import path
from rest_framework_simplejwt.views import TokenObtainPairView, TokenRefreshView

from . import views

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/register/", views.RegisterView.as_view()),
    path("api/token/", TokenObtainPairView.as_view()),
    path("api/token/refresh/", TokenRefreshView.as_view()),
    path("api/chat/", views.ChatView.as_view()),
    path("api/user/balance/", views.BalanceView.as_view()),
    path("api/user/profile/", views.ProfileView.as_view()),
]
