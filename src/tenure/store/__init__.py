"""The durable side: SQL by noun, verbs that yield it, and drivers that run them.

The only package with SQL and the only one that knows a database driver.
"""
