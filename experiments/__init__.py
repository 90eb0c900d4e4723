"""Trials that led to the shipped weights; nothing imports them."""
