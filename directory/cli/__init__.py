"""The command `pushpki`: what operators type. Each module is one noun; all of them only call use cases."""
