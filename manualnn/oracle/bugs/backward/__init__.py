"""backward"""
