"""The loops: claim, run, settle, renew, expire, prune, elect, listen; and who starts them."""
