"""Small files whose claims anybody can derive again."""
