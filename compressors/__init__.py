"""What is attacked: the contract, the catalog of what ships with us, and the way in for strangers.

``targets.resolve`` turns what a person writes (``exact``, ``cache.py:Mine``) into a factory.
"""
