"""textbook"""
