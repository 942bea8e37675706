import ff_core.polling  # noqa: F401 - before gRPC is loaded
