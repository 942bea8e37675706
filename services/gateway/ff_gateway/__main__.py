"""Runs the gateway: `python -m ff_gateway`."""

from ff_core.lifecycle import main
from ff_gateway.app import serve
from ff_gateway.settings import GatewaySettings

if __name__ == "__main__":
    main("gateway", GatewaySettings, serve)
