"""Addresses of the interface, one module per subject; each offers `router(context)`."""
