"""What task authors see: the decorator, the context, the clients."""
