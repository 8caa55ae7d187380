"""The mitmproxy edge: what stands in front of the service and behind it. Nothing else here knows mitmproxy."""
